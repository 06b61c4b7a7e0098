"""``rerank-plugins serve``: rerankers and embedders on HTTP, in the dialects of today's clients."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.cli.bulk_job import Cpus, Gpus, RayAddress
from rerank_plugins.cli.log_lines import logged_to_stderr
from rerank_plugins.cli.model_options import CalibratedModelOptions
from rerank_plugins.cli.option_groups import refuse_without, takes_groups
from rerank_plugins.cli.quiet import quiet_loading
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import EngineOptions, SourceOptions

if TYPE_CHECKING:
    from rerank_plugins.serving.settings import Limits, ServeSettings

__all__ = ["serve"]

_DRAIN_DELAY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _DoorOptions:
    """Where the server listens, and who may come in."""

    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need a key.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000
    api_key_file: Annotated[Path | None, typer.Option(help="Keys, one a line; RERANK_PLUGINS_API_KEYS holds more.")] = (
        None
    )
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Let other machines in without a key.")] = False
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics without a key.")] = False
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may call the server; may be repeated.")
    ] = None
    no_page: Annotated[bool, typer.Option("--no-page", help="No page for browsers at /.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _LoadOptions:
    """When models are loaded, and from where."""

    on_demand: Annotated[bool, typer.Option("--on-demand", help="Load a model when it is first asked for.")] = False
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Download nothing.")] = False
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code from checkpoints.")
    ] = False
    max_batch_tokens: Annotated[int | None, typer.Option(help="Token slots of a batch; the device's default.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _LimitOptions:
    """How much a request may ask for, and how long it may take."""

    max_waiting_tokens: Annotated[int, typer.Option(help="Tokens under way in a model; more is answered 429.")] = (
        200_000
    )
    deadline_s: Annotated[float, typer.Option(help="Seconds for a request; then 504.")] = 60.0
    receive_s: Annotated[float, typer.Option(help="Seconds for a request to arrive; then 408.")] = 30.0
    max_body_bytes: Annotated[int, typer.Option(help="Bytes of a body; more is answered 413.")] = 16_000_000
    max_documents: Annotated[int, typer.Option(help="Documents of a request.")] = 1_000
    drain_delay_s: Annotated[
        float, typer.Option(help="Seconds after SIGTERM in which work is still taken; not with --ray.")
    ] = _DRAIN_DELAY_S
    drain_s: Annotated[float, typer.Option(help="Seconds after that for what is under way.")] = 25.0

    def limits(self) -> Limits:
        """Return them as the server takes them."""
        from rerank_plugins.serving.settings import Limits

        return Limits(**asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnswerOptions:
    """What is answered, and what is told about it."""

    any_model_name: Annotated[
        bool, typer.Option("--any-model-name", help="Take any model name in a request for the first model.")
    ] = False
    no_auto_truncate: Annotated[
        bool, typer.Option("--no-auto-truncate", help="Refuse texts that do not fit (TEI's clients).")
    ] = False
    dialect: Annotated[str, typer.Option(help="Whose answer /rerank gives: vllm or infinity.")] = "vllm"
    openai_side: Annotated[str, typer.Option(help="What /v1/embeddings embeds: document or query.")] = "document"
    trace: Annotated[bool, typer.Option("--trace", help="OpenTelemetry spans that continue the caller's.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _RayOptions:
    """Whether the server runs on a Ray cluster, and the options that only count if so."""

    ray: Annotated[bool, typer.Option("--ray", help="Serve on a Ray cluster.")] = False
    ray_address: RayAddress = None
    replicas: Annotated[int, typer.Option(help="With --ray: copies of the server, each with its models.")] = 1
    max_replicas: Annotated[int | None, typer.Option(help="With --ray: copies at most, by the waiting tokens.")] = None
    target_waiting_tokens: Annotated[
        int, typer.Option(help="With --max-replicas: tokens under way in a copy above which another one is started.")
    ] = 50_000
    cpus: Cpus = 1.0
    gpus: Gpus = 0.0

    def check(self, *, drain_delay_s: float) -> None:
        """Refuse options that would do nothing.

        Args:
            drain_delay_s: Of this machine's own server.

        Raises:
            InvalidInputError: There is one.
        """
        if not self.ray:
            refuse_without("--ray", self)
        elif drain_delay_s != _DRAIN_DELAY_S:
            msg = (
                f"--drain-delay-s {drain_delay_s:g} does nothing with --ray: Ray Serve itself stops sending requests "
                "to a replica that it ends, and waits --drain-s for what is under way; leave it out"
            )
            raise InvalidInputError(msg)
        if self.max_replicas is None:
            refuse_without("--max-replicas", self, only="target_waiting_tokens")


@takes_groups
def serve(
    models: Annotated[list[str], typer.Argument(help="What to serve: MODEL or NAME=MODEL, rerankers and embedders.")],
    *,
    door: _DoorOptions,
    loading: _LoadOptions,
    options: CalibratedModelOptions,
    limits: _LimitOptions,
    answers: _AnswerOptions,
    ray: _RayOptions,
) -> None:
    """Serve models to applications that speak to Cohere, Jina, Voyage, TEI, infinity, vLLM, OpenAI and others.

    docs/serving.md says what to type in which application.
    """
    ray.check(drain_delay_s=limits.drain_delay_s)
    from rerank_plugins.serving import server
    from rerank_plugins.serving.settings import ApiKeys, ModelPlan, ServeSettings

    source = SourceOptions(local_files_only=loading.local_files_only, trust_remote_code=loading.trust_remote_code)
    of_rerankers = options.reranker_options
    layers = of_rerankers.pop("layers")
    settings = ServeSettings(
        models=tuple(map(ModelPlan.of, models)),
        reranker_options=of_rerankers | {"source": source},
        embedder_options={"device": options.device, "dtype": options.dtype, "source": source},
        layers=layers,
        # The estimate of the server decides; this counts exactly, for texts that have far more tokens than it thinks.
        engine=EngineOptions(
            max_batch_tokens=loading.max_batch_tokens, max_waiting_tokens=2 * limits.max_waiting_tokens
        ),
        on_demand=loading.on_demand,
        any_model_name=answers.any_model_name,
        auto_truncate=not answers.no_auto_truncate,
        dialect=_one_of("--dialect", answers.dialect, ("vllm", "infinity")),
        openai_side=_one_of("--openai-side", answers.openai_side, ("document", "query")),
        keys=ApiKeys.read(door.api_key_file),
        open_metrics=door.open_metrics,
        cors_origins=tuple(door.cors_origin or ()),
        page=not door.no_page,
        trace=answers.trace,
        limits=limits.limits(),
    )
    quiet_loading()
    with _logged_to_stderr(with_requests=not answers.quiet):
        if ray.ray:
            _serve_on_ray(settings, door, ray)
            return
        with server.bound_socket(door.host, door.port, settings=settings, without_keys=door.no_auth) as listener:
            address, number = listener.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            logging.getLogger("rerank_plugins.serving").info("listening on http://%s:%d", shown, number)
            server.serve(settings, listener)


def _serve_on_ray(settings: ServeSettings, door: _DoorOptions, ray: _RayOptions) -> None:
    from rerank_plugins.serving import server
    from rerank_plugins.serving.on_ray import RayReplicas, serve_on_ray

    server.check_host(door.host, settings=settings, without_keys=door.no_auth)
    copies = RayReplicas(
        replicas=ray.replicas,
        max_replicas=ray.max_replicas,
        target_waiting_tokens=ray.target_waiting_tokens,
        cpus=ray.cpus,
        gpus=ray.gpus,
    )
    serve_on_ray(settings, copies, host=door.host, port=door.port, address=ray.ray_address)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        msg = f"{option} must be {' or '.join(allowed)}, got {value!r}"
        raise InvalidInputError(msg)
    return value


def _logged_to_stderr(*, with_requests: bool) -> AbstractContextManager[None]:
    """Show the server's own messages; the line of each request holds no text."""
    levels = {"rerank_plugins": logging.INFO, "uvicorn.error": logging.WARNING}
    of_requests = logging.getLogger("rerank_plugins.serving.access")
    of_requests.setLevel(logging.NOTSET if with_requests else logging.WARNING)
    return logged_to_stderr(levels)
