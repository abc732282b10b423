import json

from inference.gateway.timeline import Timeline
from inference.gateway.timings import timings_json
from tests.inference.gateway.exchanges import answered_timeline


def test_timings_are_the_stages_and_the_time_to_the_first_token():
    timeline = answered_timeline(encode=0.05)
    timeline.flushed = None  # it is told before the end

    assert json.loads(timings_json(timeline)) == {
        "ttft": 0.5, "gateway": 0.02, "queue": 0.2, "encode": 0.05, "schedule": 0.08,
        "prefill": 0.15, "decode": 0.9, "device": 0.1,
    }  # fmt: skip


def test_timings_fit_into_a_header_and_leave_out_what_is_unknown():
    told = timings_json(Timeline(0.0, queued=0.25))

    assert told == '{"gateway": 0.25}'
    assert told.isascii()
    assert "\n" not in told
