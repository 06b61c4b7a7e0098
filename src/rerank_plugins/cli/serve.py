"""``rerank-plugins serve``: rerankers and embedders on HTTP, in the dialects of today's clients."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank_plugins.cli.bulk_job import Cpus, Gpus, RayAddress, refuse_without
from rerank_plugins.cli.model_options import (
    CalibrationFile,
    CompressLayers,
    CompressRatio,
    CutoffLayers,
    Device,
    Dtype,
    LongDocumentsName,
    MaxLength,
    ModelOptions,
    Prompt,
)
from rerank_plugins.cli.quiet import quiet_loading
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import EngineOptions, SourceOptions

__all__ = ["serve"]

_HOST, _PORT, _DRAIN_DELAY_S = "127.0.0.1", 8000, 5.0


def serve(
    models: Annotated[list[str], typer.Argument(help="What to serve: MODEL or NAME=MODEL, rerankers and embedders.")],
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need a key.")] = _HOST,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = _PORT,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Keys, one a line; RERANK_PLUGINS_API_KEYS holds more.")
    ] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Let other machines in without a key.")] = False,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Load a model when it is first asked for.")] = False,
    any_model_name: Annotated[
        bool, typer.Option("--any-model-name", help="Take any model name in a request for the first model.")
    ] = False,
    device: Device = None,
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    long_documents: LongDocumentsName = "truncate",
    prompt: Prompt = None,
    cutoff_layers: CutoffLayers = None,
    compress_ratio: CompressRatio = None,
    compress_layers: CompressLayers = None,
    calibration: CalibrationFile = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Download nothing.")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code from checkpoints.")
    ] = False,
    max_batch_tokens: Annotated[int | None, typer.Option(help="Token slots of a batch; the device's default.")] = None,
    max_waiting_tokens: Annotated[
        int, typer.Option(help="Tokens under way in a model; more is answered 429.")
    ] = 200_000,
    deadline_s: Annotated[float, typer.Option(help="Seconds for a request; then 504.")] = 60.0,
    receive_s: Annotated[float, typer.Option(help="Seconds for a request to arrive; then 408.")] = 30.0,
    max_body_bytes: Annotated[int, typer.Option(help="Bytes of a body; more is answered 413.")] = 16_000_000,
    max_documents: Annotated[int, typer.Option(help="Documents of a request.")] = 1_000,
    drain_delay_s: Annotated[
        float, typer.Option(help="Seconds after SIGTERM in which work is still taken; not with --ray.")
    ] = _DRAIN_DELAY_S,
    drain_s: Annotated[float, typer.Option(help="Seconds after that for what is under way.")] = 25.0,
    no_auto_truncate: Annotated[
        bool, typer.Option("--no-auto-truncate", help="Refuse texts that do not fit (TEI's clients).")
    ] = False,
    dialect: Annotated[str, typer.Option(help="Whose answer /rerank gives: vllm or infinity.")] = "vllm",
    openai_side: Annotated[str, typer.Option(help="What /v1/embeddings embeds: document or query.")] = "document",
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics without a key.")] = False,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may call the server; may be repeated.")
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="No page for browsers at /.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="OpenTelemetry spans that continue the caller's.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Serve on a Ray cluster.")] = False,
    ray_address: RayAddress = None,
    replicas: Annotated[int, typer.Option(help="With --ray: copies of the server, each with its models.")] = 1,
    max_replicas: Annotated[int | None, typer.Option(help="With --ray: copies at most, by the waiting tokens.")] = None,
    target_waiting_tokens: Annotated[
        int, typer.Option(help="With --max-replicas: tokens under way in a copy above which another one is started.")
    ] = 50_000,
    cpus: Cpus = 1.0,
    gpus: Gpus = 0.0,
) -> None:
    """Serve models to applications that speak to Cohere, Jina, Voyage, TEI, infinity, vLLM, OpenAI and others.

    docs/serving.md says what to type in which application.
    """
    if not ray:
        refuse_without("--ray", serve, ray_address=ray_address, cpus=cpus, gpus=gpus)
        refuse_without("--ray", serve, replicas=replicas, max_replicas=max_replicas)
        refuse_without("--ray", serve, target_waiting_tokens=target_waiting_tokens)
    elif drain_delay_s != _DRAIN_DELAY_S:
        msg = (
            f"--drain-delay-s {drain_delay_s:g} does nothing with --ray: Ray Serve itself stops sending requests to a "
            "replica that it ends, and waits --drain-s for what is under way; leave it out"
        )
        raise InvalidInputError(msg)
    if max_replicas is None:
        refuse_without("--max-replicas", serve, target_waiting_tokens=target_waiting_tokens)
    from rerank_plugins.serving import server
    from rerank_plugins.serving.settings import ApiKeys, Limits, ModelPlan, ServeSettings

    options = ModelOptions(
        model=models[0],
        device=device,
        dtype=dtype,
        max_length=max_length,
        long_documents=long_documents,
        prompt=prompt,
        layers={
            "cutoff_layers": cutoff_layers,
            "compress_ratio": compress_ratio,
            "compress_layers": compress_layers,
        },
        calibration=calibration,
    )
    source = SourceOptions(local_files_only=local_files_only, trust_remote_code=trust_remote_code)
    limits = Limits(
        max_body_bytes=max_body_bytes,
        max_documents=max_documents,
        max_waiting_tokens=max_waiting_tokens,
        receive_s=receive_s,
        deadline_s=deadline_s,
        drain_delay_s=drain_delay_s,
        drain_s=drain_s,
    )
    common = {"device": device, "dtype": dtype, "source": source}
    settings = ServeSettings(
        models=tuple(map(ModelPlan.of, models)),
        reranker_options=common | _of_reranker(options),
        embedder_options=common,
        layers=options.layer_options,
        # The estimate of the server decides; this counts exactly, for texts that have far more tokens than it thinks.
        engine=EngineOptions(max_batch_tokens=max_batch_tokens, max_waiting_tokens=2 * max_waiting_tokens),
        on_demand=on_demand,
        any_model_name=any_model_name,
        auto_truncate=not no_auto_truncate,
        dialect=_one_of("--dialect", dialect, ("vllm", "infinity")),
        openai_side=_one_of("--openai-side", openai_side, ("document", "query")),
        keys=ApiKeys.read(api_key_file),
        open_metrics=open_metrics,
        cors_origins=tuple(cors_origin or ()),
        page=not no_page,
        trace=trace,
        limits=limits,
    )
    quiet_loading()
    _log_to_stderr(with_requests=not quiet)
    if ray:
        from rerank_plugins.serving.on_ray import RayReplicas, serve_on_ray

        server.check_host(host, settings=settings, without_keys=no_auth)
        copies = RayReplicas(
            replicas=replicas,
            max_replicas=max_replicas,
            target_waiting_tokens=target_waiting_tokens,
            cpus=cpus,
            gpus=gpus,
        )
        serve_on_ray(settings, copies, host=host, port=port, address=ray_address)
        return
    with server.bound_socket(host, port, settings=settings, without_keys=no_auth) as listener:
        address, number = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        logging.getLogger("rerank_plugins.serving").info("listening on http://%s:%d", shown, number)
        server.serve(settings, listener)


def _of_reranker(options: ModelOptions) -> dict[str, Any]:
    return {
        "max_length": options.max_length,
        "long_documents": options.long_documents,
        "prompt": options.prompt,
        "calibration": options.calibration,
    }


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        msg = f"{option} must be {' or '.join(allowed)}, got {value!r}"
        raise InvalidInputError(msg)
    return value


def _log_to_stderr(*, with_requests: bool) -> None:
    """Show the server's own messages; the line of each request holds no text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("rerank_plugins", "uvicorn.error"):
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("rerank_plugins").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if not with_requests:
        logging.getLogger("rerank_plugins.serving.access").setLevel(logging.WARNING)
