import numpy as np
import pytest

from vqmm.config import Config
from vqmm.models import build_model
from vqmm.training.finishing import finished


def changed(config, **model):
    tree = config.model_dump(mode="json")
    tree["model"] |= model | {"quantizer": tree["model"]["quantizer"] | model.get("quantizer", {})}
    return Config.model_validate(tree)


def none_needed():
    raise AssertionError("no batches are needed")


@pytest.mark.parametrize("change", [{"layout": "grid"}, {"quantizer": {"heads": 2}}])
def test_tokens_without_one_code_each_have_no_fine_codes_and_it_is_said(tiny_config, change):
    config, said = changed(tiny_config, **change), []
    model = finished(build_model(config), config, none_needed, said.append)
    assert model.fine is None and [line for line in said if line.startswith("no fine codes")]


def test_none_are_made_where_none_are_wanted(tiny_config):
    config, said = changed(tiny_config, quantizer={"fine": 0}), []
    model = build_model(config)
    assert finished(model, config, none_needed, said.append).fine is None and not said


def test_idle_shared_codes_are_left_out_and_it_is_said_where_codes_had_to_agree(tiny_config):
    config, said = changed(tiny_config, quantizer={"fine": 0}), []
    model = build_model(config)
    model.quantizer.counts.assign([1.0, 0.0, 1.0, 1.0] + [1.0] * 16)
    assert finished(model, config, none_needed, said.append) is model and not said
    config = config.model_copy(update={"loss": config.loss.model_copy(update={"agreement": 1.0})})
    found = finished(model, config, none_needed, said.append)
    assert found.quantizer.range_of("shared") == (0, 3) and said == ["3 of 4 shared codes are in use"]


def test_where_idle_codes_cannot_go_it_is_said(tiny_config):
    config, said = changed(tiny_config, quantizer={"fine": 0, "heads": 2}), []
    config = config.model_copy(update={"loss": config.loss.model_copy(update={"agreement": 1.0})})
    model = build_model(config)
    assert finished(model, config, none_needed, said.append) is model
    assert said == ["idle shared codes stay: kind=nearest with heads=2 is not one table of them"]


def test_averaged_weights_are_taken(tiny_config):
    config = changed(
        tiny_config, kind="vqgan", discriminator={"filters": [8, 8], "audio_scales": 1}, quantizer={"fine": 0}
    )
    model = build_model(config)
    for average in model.averages:
        average.assign(average + 1)
    found = finished(model, config, none_needed, print)
    for average, variable in zip(found.averages, found.averaged_variables(), strict=True):
        np.testing.assert_array_equal(np.asarray(average), np.asarray(variable))


def test_a_model_without_codes_stays_as_it_is(tiny_config):
    config = changed(tiny_config, kind="vae")
    model = build_model(config)
    before = [weight.numpy() for weight in model.weights]
    assert finished(model, config, none_needed, print) is model
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), old)
