import os
import signal
import threading

import pytest

from vqmm.training.stop_signals import Interrupted, stop_on_signals


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
