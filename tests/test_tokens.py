"""Tokens: a secret is shown once, checked in constant time, and can be taken back."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import sukashi
from watermark import tokens as module
from watermark.access import SCOPES
from watermark.errors import RegistryError, UnknownToken
from watermark.registry import open_registry
from watermark.tokens import Tokens


@pytest.fixture
def registry(where):
    with open_registry(where) as registry:
        yield registry


@pytest.fixture
def tokens(registry):
    return Tokens(registry)


def test_a_secret_is_known_until_it_is_revoked(tokens):
    token, secret = tokens.new(" crawler ", ["works:read", "detect"])
    assert (token.name, token.scopes) == ("crawler", {"detect", "works:read"})
    assert secret.startswith(f"sukashi_{token.id}_")
    assert len(secret.rpartition(f"{token.id}_")[2]) == 43
    assert tokens.check(secret) == token
    revoked = tokens.revoke(token.id)
    assert revoked.revoked_at
    assert tokens.check(secret) is None
    assert tokens.revoke(token.id) == revoked
    assert tokens.all() == [revoked]


def test_any_other_word_is_unknown(tokens):
    _, secret = tokens.new("a", ["admin"])
    other = "A" if secret[-1] != "A" else "B"
    for word in (
        "",
        secret[:-1],
        secret + "A",
        secret + "\n",
        secret[:-1] + other,
        secret.upper(),
        secret.removeprefix("sukashi_"),
        secret.replace("_", "_\0", 1),
        "sukashi_0000000000_" + secret[-43:],
        "夢" * len(secret),
    ):
        assert tokens.check(word) is None
    assert tokens.check(secret)


def test_the_secret_of_one_token_does_not_open_another(tokens):
    (first, secret), (second, _) = (tokens.new("a", ["detect"]) for _ in range(2))
    assert tokens.check(secret.replace(first.id, second.id)) is None


def test_unknown_ids_are_hashed_and_compared_like_known_ones(tokens, monkeypatch):
    token, secret = tokens.new("a", ["detect"])
    compared = []

    def compare(a, b):
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    for word in (secret, secret.replace(token.id, "0" * 10)):
        tokens.check(word)
    assert compared == [(32, 32)] * 2


def test_no_secret_lies_in_the_registry(tmp_path):
    file = tmp_path / "registry.sqlite"
    with open_registry(file) as registry:
        secrets = [Tokens(registry).new("same", ["detect"])[1] for _ in range(4)]
        with registry.database.reading() as connection:
            rows = connection.execute(sa.text("SELECT salt, digest FROM tokens")).all()
    assert len({value for row in rows for value in row}) == 8
    stored = b"".join(part.read_bytes() for part in tmp_path.iterdir())
    for secret in secrets:
        assert secret[-43:].encode() not in stored


def test_admin_may_do_everything_and_others_what_they_were_given(tokens):
    admin, reader = (tokens.new("a", [scope])[0] for scope in ("admin", "works:read"))
    assert all(admin.allows(scope) for scope in SCOPES)
    assert [scope for scope in SCOPES if reader.allows(scope)] == ["works:read"]


def test_the_last_use_is_written_once_a_minute(tokens, registry, monkeypatch):
    token, secret = tokens.new("a", ["detect"])
    assert token.last_used_at is None
    opened = []
    for name in ("reading", "writing"):
        real = getattr(registry.database, name)
        noted = lambda self, *, name=name, real=real, **how: (opened.append(name), real(**how))[1]  # noqa: E731 - two of a kind
        monkeypatch.setattr(type(registry.database), name, noted)
    monkeypatch.setattr(module, "datetime", clock := Clock())
    for _ in range(5):
        tokens.used(token.id)
    assert opened == ["reading", "writing"]
    Tokens(registry).used(token.id)  # another process
    assert opened.count("writing") == 1
    clock.minute += 1
    tokens.used(token.id)
    assert opened.count("writing") == 2
    assert tokens.check(secret).last_used_at == "2026-01-01T00:01Z"
    tokens.used("unknown")


def test_a_registry_that_is_held_stops_nobody_who_has_a_token(tmp_path):
    file = tmp_path / "registry.sqlite"
    with open_registry(file, busy_timeout=0.1) as registry, open_registry(file) as importer:
        token, secret = Tokens(registry).new("a", ["detect"])
        with importer.database.writing():
            tokens = Tokens(registry)
            assert tokens.check(secret) == token
            tokens.used(token.id)
        assert tokens.check(secret).last_used_at is None


class Clock:
    minute = 0

    def now(self, zone):
        from datetime import datetime, timedelta

        return datetime(2026, 1, 1, tzinfo=zone) + timedelta(minutes=self.minute)


def test_names_that_cannot_be_shown_and_scopes_that_are_none_are_refused(tokens):
    for name in ("", "  ", "a\nb", "a\0b", "x" * 201):
        with pytest.raises(RegistryError, match="printable characters"):
            tokens.new(name, ["detect"])
    for scopes in ([], ["detect", "everything"], "admin"):
        with pytest.raises(ValueError, match="works:write"):
            tokens.new("a", scopes)
    assert tokens.all() == []


def test_a_token_is_found_by_its_id_or_its_only_name(tokens):
    first, second, third = (tokens.new(name, ["detect"])[0] for name in ("a", "a", "b"))
    assert (tokens.find(first.id), tokens.find("b")) == (first, third)
    with pytest.raises(UnknownToken, match=f"several tokens.*{first.id}"):
        tokens.find("a")
    tokens.revoke(first.id)
    assert tokens.find("a") == second
    for unknown in ("c", ""):
        with pytest.raises(UnknownToken, match="sukashi token list"):
            tokens.find(unknown)
    with pytest.raises(UnknownToken, match="sukashi token list"):
        tokens.revoke("c")


def test_many_are_made_at_once(shared):
    with open_registry(shared) as registry, ThreadPoolExecutor(4) as pool:
        tokens = Tokens(registry)
        made = list(pool.map(lambda number: tokens.new(str(number), ["detect"]), range(24)))
        assert all(tokens.check(secret) == token for token, secret in made)


# The command --------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    def run(*words, code=0):
        environment = {"SUKASHI_REGISTRY": str(tmp_path / "registry.sqlite")}
        result = CliRunner(env=environment).invoke(sukashi, ["token", *words])
        assert result.exit_code == code, result.output
        return result

    return run


def test_the_command_prints_the_secret_alone_on_standard_output(run, tmp_path):
    result = run("new", "--name", "夜\u202e", "--scope", "detect", code=1)
    assert "printable" in result.stderr
    result = run("new", "--name", "夜汽車", "--scope", "detect", "--scope", "works:read")
    with open_registry(tmp_path / "registry.sqlite") as registry:
        token = Tokens(registry).check(result.stdout.removesuffix("\n"))
    assert token.scopes == {"detect", "works:read"}
    assert token.id in result.stderr
    assert result.stdout.strip() not in result.stderr
    for shown in (run("list").stdout, run("list", "--json").stdout):
        assert "夜汽車" in shown
        assert result.stdout.strip()[-43:] not in shown


def test_the_command_says_who_is_revoked(run):
    made = json.loads(run("new", "--name", "a", "--scope", "admin", "--json").stdout)
    assert made["scopes"] == ["admin"]
    assert "never used" in run("list").stdout
    gone = json.loads(run("revoke", "a", "--json").stdout)
    assert (gone["token"], "secret" in gone) == (made["token"], False)
    assert f"revoked {gone['revoked_at']}" in run("list").stdout
    assert "sukashi token list" in run("revoke", "a", code=1).stderr
    assert json.loads(run("list", "--json").stdout) == gone
