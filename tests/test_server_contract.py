"""The OpenAPI document is true: schemathesis sends what it allows, and what it does not."""

import shutil
import subprocess
import sys

import pytest
from service import RUN_TOKEN

CONFIG = """\
[parameters]
"path.job" = "{job}"

[checks]
# That a file is no picture, or a permission lacks its terms, no schema can say.
positive_data_acceptance.enabled = false

[[operations]]
# A bad file does not spoil a batch, so what is sent as a file is answered, whatever it is.
include-name = "POST /v1/detect/batch"
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_answer_is_a_fault_or_undocumented(service, tmp_path):
    program = shutil.which("schemathesis", path=str(sys.prefix) + "/bin") or pytest.skip(
        "schemathesis is not installed"
    )
    run_token = {"Authorization": f"Bearer {RUN_TOKEN}"}
    with service.listening() as clients, clients(headers=run_token) as client:
        client.post("/v1/detect?search=fast", content=service.marked)
        later = {"Prefer": "respond-async"}
        job = client.post("/v1/detect", content=service.marked, headers=later).json()["job"]
        (tmp_path / "schemathesis.toml").write_text(CONFIG.replace("{job}", job))
        run = subprocess.run(
            [
                *(program, "--config-file", tmp_path / "schemathesis.toml"),
                *("run", f"{clients.address}/openapi.json", "--no-color"),
                *("--header", f"Authorization: Bearer {RUN_TOKEN}"),
                *("--max-examples", "25", "--seed", "1", "--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        counts = client.get("/metrics").text
    assert run.returncode == 0, run.stdout[-5000:]
    assert 'status="500"' not in counts
