"""The client says what the service says, and waits as it is told to."""

import threading
import time
from pathlib import Path

import pytest

from watermark.client import Client
from watermark.errors import ServiceError

FILM = Path(__file__).parent.parent / "samples" / "bigbuckbunny.mp4"


def test_a_picture_a_batch_and_a_permission(service):
    marked, plain = service.studio.marked / "a 1.png", service.studio.frames / "a 1.png"
    with service.listening() as clients, Client(clients.address) as client:
        told = client.detect(marked, search="fast")
        assert (told["verdict"], told["permission"]) == ("detected", "not-permitted")
        assert told["coarse"]
        results = client.detect_many([plain, __file__, marked], search="fast")
        verdicts = [each["result"] and each["result"]["verdict"] for each in results]
        assert verdicts == ["not-found", None, "detected"]
        (known,) = client.permissions([{"work": told["works"][0]["work"]}])
        assert known["permission"] == "not-permitted"
        with Client(clients.address, service.secrets["detect"]) as known:
            assert known.detect(marked, search="fast")["z"] > 10


def test_a_refusal_is_one_sentence(service):
    with service.listening() as clients:
        with Client(clients.address) as client, pytest.raises(ServiceError, match="no picture"):
            client.detect(__file__)
        with (
            Client(clients.address, "nonsense") as client,
            pytest.raises(ServiceError, match="not known"),
        ):
            client.permissions([])
    with Client(clients.address) as client, pytest.raises(ServiceError, match="is it running"):
        client.permissions([])


def test_it_comes_again_when_it_is_told_to_and_not_for_ever(service):
    marked = service.studio.marked / "a 1.png"
    with service.listening(rate_anonymous="1/second") as clients:
        with Client(clients.address) as client:
            verdicts = [client.detect(marked, search="fast")["verdict"] for _ in range(3)]
        assert verdicts == ["detected"] * 3
    with (
        service.listening(rate_anonymous="1/hour") as clients,
        Client(clients.address, patience=5) as client,
    ):
        client.detect(marked, search="fast")
        with pytest.raises(ServiceError, match="No more than 1 per 1 hour"):
            client.detect(marked, search="fast")


@pytest.mark.parametrize("ends", ["done", "failed", "cancelled"])
def test_a_film_is_followed_until_it_is_done(service, ends):
    with service.listening(inline_film_bytes=1000) as clients:
        state = clients.app.state

        def work():
            while not state.queue.jobs:
                time.sleep(0.01)
            job = state.jobs.claim(state.queue.jobs[0])
            state.spool.remove(job.upload)
            if ends == "done":
                with clients("detect") as known:
                    answer = known.post("/v1/detect?search=fast", content=service.marked)
                state.jobs.finish(job.id, answer.json())
            elif ends == "failed":
                state.jobs.fail(job.id, {"detail": "It broke."})
            else:
                state.jobs.cancel(job.id)

        worker = threading.Thread(target=work)
        worker.start()
        with Client(clients.address) as client:
            if ends == "done":
                assert client.detect(FILM)["verdict"] == "detected"
            else:
                with pytest.raises(ServiceError, match=r"It broke\.|cancelled"):
                    client.detect(FILM)
        worker.join()
