"""Messages between the service and a worker, put together from pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.call_ends import CallEnd, Died, GaveUp, Killed, Raised, Returned
from engine.lanes.calls import decode_call, encode_call
from engine.lanes.frames import FrameBuffer, GarbledFrame, decode_end, encode_end, encode_frame
from engine.limits import MAX_FRAME_BYTES
from engine.nouns import RunError
from tests.engine.lanes.calls import make_call


@given(st.lists(st.text(max_size=9), max_size=5), st.integers(1, 9))
def test_messages_come_out_whole_however_they_are_cut(texts: list[str], size: int) -> None:
    sent = [{"kind": "line", "text": text} for text in texts]
    data = b"".join(encode_frame(message) for message in sent)
    buffer, got = FrameBuffer(), []

    for start in range(0, len(data), size):
        buffer.feed(data[start : start + size])
        while (message := buffer.next()) is not None:
            got.append(message)

    assert got == sent


@pytest.mark.parametrize(
    "data", [b"rubbish\n", b"3\n", b"{}\n", b'{"kind":1}\n', b"\xff\n", b"\n", b"[" * 9_999 + b"\n"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    buffer = FrameBuffer()
    buffer.feed(data)

    with pytest.raises(GarbledFrame):
        buffer.next()


def test_a_message_without_end_is_refused() -> None:
    buffer = FrameBuffer()

    buffer.feed(b"x" * MAX_FRAME_BYTES)

    with pytest.raises(GarbledFrame):
        buffer.feed(b"x")


@pytest.mark.parametrize(
    "end",
    [
        Returned("1"),
        Returned(reason="why"),
        Raised(RunError("a", "b", "c"), is_final=True, retry_after_seconds=1.5),
        GaveUp("so"),
        Killed(),
        Died("so"),
    ],
)
def test_an_end_comes_over_as_it_is(end: CallEnd) -> None:
    assert decode_end(encode_end(end) | {"stays": True}) == end


@pytest.mark.parametrize("message", [{"kind": "end"}, {"how": "Returned", "more": 1}, {"how": "Raised", "error": 1}])
def test_an_end_that_is_none_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(GarbledFrame):
        decode_end(message)


def test_a_call_comes_over_as_it_is() -> None:
    call = make_call("f", {"a": 1})

    assert decode_call(encode_call(call)) == call
