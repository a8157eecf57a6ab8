"""Which devices train together."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import textwrap

import tensorflow as tf

from vqmm.config import Train
from vqmm.errors import UserError
from vqmm.plain_reason import plain_reason
from vqmm.training.cluster import cluster_text, task_of

log = logging.getLogger("vqmm.training")


def make_strategy(train: Train) -> tf.distribute.Strategy:
    """Makes the `tf.distribute` strategy that the config asks for.

    Args:
        train: `strategy` is `"one"` (the default device) or `"mirrored"` over
            `devices`, or over all GPUs where that is empty. `CPU:0`, `CPU:1`, …
            split the processor into that many devices, to try things out.
            `"multi_worker"` is over all devices of all processes that `TF_CONFIG` lists,
            or that Slurm started; it waits for them, and says so. `"tpu"` is over the cores of the
            TPU named `tpu`; `"local"` is the one of this machine.

    Returns:
        the strategy; asked again for the same devices, the same object, so that a
        process may train several models one after the other.

    Raises:
        UserError: a device is not there, `batch_size` cannot be split evenly,
            settings exclude each other, or a worker cannot start.
    """
    if train.tpu != Train().tpu and train.strategy != "tpu":
        raise UserError(
            f"train.tpu={train.tpu!r} is for train.strategy=tpu, and this is {train.strategy}; "
            f"set train.strategy=tpu, or leave it at train.tpu={Train().tpu}"
        )
    if train.strategy == "one":
        _refuse_devices(train, "one takes the default device: set train.strategy=mirrored")
        return tf.distribute.get_strategy()
    makers = {"mirrored": _over_devices, "multi_worker": _over_processes, "tpu": _over_cores}
    strategy = makers[train.strategy](train)
    replicas = strategy.num_replicas_in_sync
    if train.batch_size % replicas:
        below = train.batch_size // replicas * replicas
        raise UserError(
            f"train.batch_size={train.batch_size} does not divide among {replicas} devices; "
            f"take {below or replicas} or {below + replicas}"
        )
    if train.jit_compile and replicas > 1:
        raise UserError(
            f"train.jit_compile=true works on one device only; switch it off for {train.strategy} training"
        )
    return strategy


def _over_devices(train: Train) -> tf.distribute.Strategy:
    _split_processor(train.devices)
    there = [f"{d.device_type}:{d.name.rpartition(':')[2]}" for d in tf.config.list_logical_devices()]
    missing = [name for name in train.devices if name not in there]
    if missing:
        raise UserError(f"train.devices: {', '.join(missing)} not found; this machine has {', '.join(there)}")
    return _mirrored(tuple(train.devices))


def _over_processes(train: Train) -> tf.distribute.Strategy:
    task_of(train)  # tells what is wrong with TF_CONFIG
    _refuse_devices(
        train, "multi_worker takes all devices that each process sees: hide some with CUDA_VISIBLE_DEVICES"
    )
    return _multi_worker(cluster_text())


def _over_cores(train: Train) -> tf.distribute.Strategy:
    _refuse_devices(train, "tpu takes all cores")
    return _tpu(train.tpu)


def _refuse_devices(train: Train, instead: str) -> None:
    if train.devices:
        given = list(train.devices)
        raise UserError(f"train.devices={given} is for mirrored training; {instead}, or set train.devices=[]")


@functools.cache
def _tpu(name: str) -> tf.distribute.TPUStrategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, ImportError, tf.errors.OpError) as error:
        said = plain_reason(error)[:200]
        raise UserError(
            f"train.tpu={name!r}: no such TPU can be reached ({said}); give its name or grpc address, "
            "'local' on a TPU machine, or another train.strategy"
        ) from None


@functools.cache
def _multi_worker(text: str) -> tf.distribute.MultiWorkerMirroredStrategy:
    told = json.loads(text)
    jobs, kind, place = told["cluster"], told["task"]["type"], int(told["task"]["index"])
    hosts = [host for job in ("chief", "worker") for host in jobs.get(job, ())]
    here = jobs[kind][place]
    who = f"worker {hosts.index(here)} of {len(hosts)}"
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(jobs), task_type=kind, task_id=place, rpc_layer=told.get("rpc_layer", "grpc")
    )
    others = textwrap.shorten(", ".join(host for host in hosts if host != here), 200)
    if others:  # told before: TensorFlow lets neither a thread nor a signal in while it waits
        log.warning(
            "%s starts at %s and waits for %s; only kill -9 %d ends that", who, here, others, os.getpid()
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise UserError(
            f"{who} cannot start at {here} ({plain_reason(error)[:200]}): see whether another "
            "process has that port, an earlier worker perhaps, and whether every worker has its own index"
        ) from None


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One per process and devices: two of them would number their collectives alike, and clash."""
    return tf.distribute.MirroredStrategy(list(devices) or None)


def _split_processor(devices: tuple[str, ...]) -> None:
    numbers = [int(m[1]) for m in (re.fullmatch(r"CPU:(\d+)", name) for name in devices) if m]
    wanted = max(numbers, default=0) + 1
    processor = tf.config.list_physical_devices("CPU")[0]
    if wanted == 1 or len(tf.config.get_logical_device_configuration(processor) or ()) >= wanted:
        return
    try:
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * wanted
        )
    except RuntimeError:  # TensorFlow has started with fewer
        raise UserError(
            f"train.devices={list(devices)}: make the strategy before anything else uses TensorFlow, "
            "or the processor cannot be split any more"
        ) from None
