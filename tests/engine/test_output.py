"""What a run prints becomes bounded lines, however it is written."""

import threading
import tracemalloc
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.limits import MAX_LINE_LENGTH
from engine.output import RunOutput, current_output


class Printer:
    """A run's output with the lines that came out of it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.output = RunOutput(lambda stream, line: self.lines.append((stream, line)))

    def print(self, *texts: str, stream: str = "stdout") -> None:
        for text in texts:
            self.output.write(stream, text)

    def taken(self, stream: str = "stdout") -> list[str]:
        """The lines of one stream so far."""
        return [line for source, line in self.lines if source == stream]


@pytest.fixture
def printer() -> Printer:
    return Printer()


def test_a_line_comes_out_when_it_is_complete(printer: Printer) -> None:
    printer.print("half ")
    assert printer.taken() == []

    printer.print("and half", "\n")
    assert printer.taken() == ["half and half"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("\n", [""]),
        ("one\n\ntwo\n", ["one", "", "two"]),
        ("", []),
        ("carriage\rreturn\r\n", ["carriage\rreturn\r"]),
        ("nul \x00 and \ud800\n", ["nul \x00 and \ud800"]),
        ("\u2028 is no end of a line\n", ["\u2028 is no end of a line"]),
    ],
)
def test_text_is_split_at_newlines_and_at_nothing_else(printer: Printer, text: str, lines: list[str]) -> None:
    printer.print(text)

    assert printer.taken() == lines


def test_what_has_no_closing_newline_comes_out_at_the_end_once(printer: Printer) -> None:
    printer.print("the end")

    printer.output.close()
    printer.output.close()

    assert printer.taken() == ["the end"]


def test_nothing_comes_out_at_the_end_of_complete_lines(printer: Printer) -> None:
    printer.print("whole\n")

    printer.output.close()

    assert printer.taken() == ["whole"]


def test_the_streams_do_not_run_into_each_other(printer: Printer) -> None:
    printer.print("to stdout, ")
    printer.print("to stderr, ", stream="stderr")
    printer.print("more of it\n")
    printer.print("more of that", stream="stderr")
    printer.output.close()

    assert printer.lines == [("stdout", "to stdout, more of it"), ("stderr", "to stderr, more of that")]


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (MAX_LINE_LENGTH - 1, [MAX_LINE_LENGTH - 1]),
        (MAX_LINE_LENGTH, [MAX_LINE_LENGTH]),
        (MAX_LINE_LENGTH + 1, [MAX_LINE_LENGTH, 1]),
        (2 * MAX_LINE_LENGTH, [MAX_LINE_LENGTH, MAX_LINE_LENGTH]),
        (2 * MAX_LINE_LENGTH + 5, [MAX_LINE_LENGTH, MAX_LINE_LENGTH, 5]),
    ],
)
@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_long_line_is_cut_into_lines_of_the_greatest_length(
    printer: Printer, length: int, pieces: list[int], ending: str
) -> None:
    printer.print("x" * length + ending)
    printer.output.close()

    assert [len(line) for line in printer.taken()] == pieces


def test_a_line_without_end_comes_out_while_it_is_written(printer: Printer) -> None:
    for _ in range(3 * MAX_LINE_LENGTH):
        printer.print("x")

    assert [len(line) for line in printer.taken()] == [MAX_LINE_LENGTH] * 2


def test_fifty_megabytes_without_a_newline_are_cut_in_one_go(printer: Printer) -> None:
    printer.print("x" * 50_000_000)
    printer.output.close()

    assert sum(len(line) for line in printer.taken()) == 50_000_000
    assert max(len(line) for line in printer.taken()) == MAX_LINE_LENGTH


@given(st.lists(st.text("ab\n", max_size=8) | st.sampled_from(["x" * MAX_LINE_LENGTH, "y" * 20_000]), max_size=12))
def test_it_does_not_matter_in_which_pieces_text_is_written(texts: list[str]) -> None:
    in_pieces, at_once = Printer(), Printer()

    in_pieces.print(*texts)
    at_once.print("".join(texts))
    for printer in (in_pieces, at_once):
        printer.output.close()

    assert in_pieces.taken() == at_once.taken()
    assert "".join(in_pieces.taken()) == "".join(texts).replace("\n", "")
    assert all(len(line) <= MAX_LINE_LENGTH for line in in_pieces.taken())


def test_a_run_prints_to_its_own_output_and_nobody_else_does(printer: Printer) -> None:
    def run() -> RunOutput | None:
        current_output.set(printer.output)
        return current_output.get()

    assert copy_context().run(run) is printer.output
    assert current_output.get() is None


def test_threads_of_one_run_complete_their_own_lines(printer: Printer) -> None:
    printer.print("mine ")
    thread = threading.Thread(target=printer.print, args=("theirs", "\n", "left"))
    thread.start()
    thread.join()
    printer.print("again", "\n")
    printer.output.close()

    assert printer.taken() == ["theirs", "mine again", "left"]


def test_a_huge_text_of_short_lines_takes_no_memory_beyond_itself() -> None:
    output = RunOutput(lambda _stream, _line: None)
    text = "short\n" * 300_000

    tracemalloc.start()
    output.write("stdout", text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < len(text)
