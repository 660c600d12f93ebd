"""What is printed goes to its run, or out as a line of its own."""

import contextvars
import gc
import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.output import DescriptorSink, RoutedStream, StreamSink, open_sink
from engine.output import RunOutput, current_output

Lines = list[tuple[str, str]]


@pytest.fixture
def stray() -> Lines:
    return []


@pytest.fixture
def stream(stray: Lines) -> RoutedStream:
    return RoutedStream("stdout", None, lambda name, line: stray.append((name, line)))


@pytest.fixture
def of_run() -> Iterator[Lines]:
    lines: Lines = []
    token = current_output.set(RunOutput(lambda name, line: lines.append((name, line))))
    yield lines
    current_output.reset(token)


def test_what_a_run_prints_goes_to_the_run(stream: RoutedStream, stray: Lines, of_run: Lines) -> None:
    print("one\ntwo", file=stream)
    assert of_run == [("stdout", "one"), ("stdout", "two")]
    assert stray == []


def test_what_is_printed_outside_a_run_is_stray(stream: RoutedStream, stray: Lines) -> None:
    print("half", end=" ", file=stream)
    assert stray == []
    print("whole", file=stream)
    assert stray == [("stdout", "half whole")]


def test_a_thread_of_a_run_is_stray_unless_it_has_the_context(
    stream: RoutedStream, stray: Lines, of_run: Lines
) -> None:
    context = contextvars.copy_context()
    for target in (lambda: print("bare", file=stream), lambda: context.run(print, "with context", file=stream)):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert stray == [("stdout", "bare")]
    assert of_run == [("stdout", "with context")]


def test_threads_do_not_mix_their_stray_parts_of_lines(stream: RoutedStream, stray: Lines) -> None:
    stream.write("mine ")
    thread = threading.Thread(target=stream.write, args=("theirs\n",))
    thread.start()
    thread.join()
    stream.write("again\n")
    assert stray == [("stdout", "theirs"), ("stdout", "mine again")]


def test_the_unfinished_line_of_a_thread_comes_out_when_it_ends(stream: RoutedStream, stray: Lines) -> None:
    thread = threading.Thread(target=stream.write, args=("last words",))
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert stray == [("stdout", "last words")]


def test_finish_emits_the_unfinished_line(stream: RoutedStream, stray: Lines) -> None:
    stream.write("unfinished")
    stream.finish()
    stream.finish()
    assert stray == [("stdout", "unfinished")]


def test_a_run_whose_output_prints_again_does_not_recurse(stream: RoutedStream, stray: Lines) -> None:
    token = current_output.set(RunOutput(lambda _name, line: print(f"handler saw {line}", file=stream)))
    print("hello", file=stream)
    current_output.reset(token)
    assert stray == [("stdout", "handler saw hello")]


def test_a_run_whose_output_raises_does_not_break_the_printing_code(stream: RoutedStream, stray: Lines) -> None:
    def refuse(_name: str, _line: str) -> None:
        raise ValueError("closed")

    token = current_output.set(RunOutput(refuse))
    stream.write("hello\n")
    current_output.reset(token)
    assert stray == [("stdout", "hello")]


def test_a_stray_sink_that_raises_does_not_reach_the_printing_code() -> None:
    def refuse(_name: str, _line: str) -> None:
        raise OSError("gone")

    assert RoutedStream("stdout", None, refuse).write("hello\n") == 6


def test_it_is_a_text_stream_with_the_real_ones_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "real").open("w") as real:
        stream = RoutedStream("stderr", real, lambda _name, _line: None)
        assert isinstance(stream, io.TextIOBase)
        assert stream.fileno() == real.fileno()
        assert stream.buffer is real.buffer
        assert not stream.isatty()
        assert stream.writable()
        assert (stream.name, stream.encoding, stream.errors) == ("<stderr>", "utf-8", "backslashreplace")


def test_without_a_real_stream_it_has_no_descriptor(stream: RoutedStream) -> None:
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()
    assert not stream.isatty()
    assert not hasattr(stream, "buffer")


def test_closing_and_reconfiguring_it_change_nothing(stream: RoutedStream, stray: Lines) -> None:
    stream.close()
    stream.reconfigure(line_buffering=True)
    stream.writelines(["a\n", "b\n"])
    stream.flush()
    assert stray == [("stdout", "a"), ("stdout", "b")]
    assert not stream.closed


def test_a_sink_survives_the_closing_of_its_stream(tmp_path: Path) -> None:
    stream = (tmp_path / "out").open("w")
    sink = open_sink(stream)
    stream.close()
    sink.write(b"late\n")
    sink.close()
    assert (tmp_path / "out").read_bytes() == b"late\n"


def test_a_sink_without_a_descriptor_writes_to_the_stream() -> None:
    stream = io.StringIO()
    sink = open_sink(stream)
    sink.write("\u00e4\n".encode())
    assert isinstance(sink, StreamSink)
    assert stream.getvalue() == "\u00e4\n"


def test_no_standard_output_at_all_is_a_sink_too() -> None:
    sink = open_sink(None)
    sink.write(b"nowhere\n")
    sink.close()
    assert isinstance(sink, DescriptorSink)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are always blocking there")
def test_a_pipe_that_is_set_to_non_blocking_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sink = DescriptorSink(writing)
    data = b"x" * 1_000_000

    def write() -> None:
        sink.write(data)
        sink.close()

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as reader:
        assert len(reader.read()) == len(data)
    writer.join()
