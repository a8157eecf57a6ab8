import os
import signal
import threading

import pytest

from vqmm.training.stop_signals import Interrupted, leaving_on_sigterm, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert stop.number is None
        os.kill(os.getpid(), number)
        assert stop.number == number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_interrupts_at_once():
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        _press_twice()
    finally:
        signal.signal(signal.SIGINT, usual)


def _press_twice():
    with stop_on_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_does_nothing_outside_of_the_main_thread():
    seen = []

    def work():
        with stop_on_signals() as stop:
            seen.append(stop.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_says_signal_and_step():
    assert str(Interrupted(signal.SIGTERM, 40)).startswith("stopped by SIGTERM at step 40")


def test_sigterm_outside_of_a_step_leaves_with_status_0(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, leaving_on_sigterm("train"):
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM  # the loop's own request goes first
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == 0 and signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == "train: stopped by SIGTERM; the same command continues\n"
