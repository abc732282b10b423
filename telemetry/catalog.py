"""The metric catalogue: every metric that Warmfront emits, once, as data.

GPU metrics carry DCGM's own names and labels, so that existing dashboards go on working;
serving metrics follow the OpenTelemetry GenAI conventions; what neither has is `warmfront_*`.
The list is long, and in one file so that there is one place to look.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus metric types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family: its name, meaning, kind, unit, labels and buckets."""

    name: str
    help: str
    kind: Kind
    unit: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: histograms have buckets, other kinds have none")


def _counter(name: str, text: str, unit: str, *labels: str) -> Metric:
    return Metric(name, text, Kind.COUNTER, unit, labels)


def _gauge(name: str, text: str, unit: str, *labels: str) -> Metric:
    return Metric(name, text, Kind.GAUGE, unit, labels)


def _histogram(
    name: str, text: str, unit: str, *labels: str, buckets: tuple[float, ...]
) -> Metric:
    return Metric(name, text, Kind.HISTOGRAM, unit, labels, buckets)


# Bounds of the OpenTelemetry GenAI conventions (semantic-conventions-genai, gen-ai-metrics).
_TTFT_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0,  # ours: a cold start is part of somebody's first token
)  # fmt: skip
_TPOT_BUCKETS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    5.0, 10.0,  # ours
)  # fmt: skip
# Ours: from 5 ms on no bound is above 1.5 times the last, which keeps a p95 within 15 %.
_ITL_BUCKETS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2,
    0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0,
)  # fmt: skip
_DURATION_BUCKETS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68,  # ours
)  # fmt: skip
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_START_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
_BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

# --- Gateway: what a client feels -----------------------------------------------------------

# The attributes that the conventions require, as labels.
_GEN_AI = ("gen_ai_request_model", "gen_ai_operation_name", "gen_ai_provider_name")

REQUEST_DURATION = _histogram(
    "gen_ai_server_request_duration_seconds",
    "Time from a request's arrival at the gateway to the last byte of its answer.",
    "seconds", *_GEN_AI, "error_type", buckets=_DURATION_BUCKETS,
)  # fmt: skip
TIME_TO_FIRST_TOKEN = _histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Time from an answered request's arrival at the gateway to its first token.",
    "seconds", *_GEN_AI, buckets=_TTFT_BUCKETS,
)  # fmt: skip
TIME_PER_OUTPUT_TOKEN = _histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Mean time between the tokens of one choice of an answered request after its first.",
    "seconds", *_GEN_AI, buckets=_TPOT_BUCKETS,
)  # fmt: skip
INTER_TOKEN_LATENCY = _histogram(
    "warmfront_gateway_inter_token_latency_seconds",
    "Time between two successive pieces of one choice of a stream, one observation per gap.",
    "seconds", "model", buckets=_ITL_BUCKETS,
)  # fmt: skip
GATEWAY_STAGE = _histogram(
    "warmfront_gateway_stage_seconds",
    "Time that an answered request spent in one stage: gateway (read, checked, routed, tries that "
    "failed), queue (in line for a replica), encode (images), schedule (waiting inside the "
    "replica), prefill (to the first token), decode, flush (last token to last byte), and device "
    "(in the runtime, part of prefill and decode).",
    "seconds", "model", "stage", buckets=_TTFT_BUCKETS,
)  # fmt: skip
GATEWAY_OBJECTIVES = _counter(
    "warmfront_gateway_objectives_total",
    "Finished requests by objective (ttft, tpot) and whether they met it: met or missed.",
    "requests", "model", "priority", "objective", "result",
)  # fmt: skip
GATEWAY_ARRIVALS = _counter(
    "warmfront_gateway_arrivals_total",
    "Requests for a known model that reached the gateway: the demand; region is the gateway's.",
    "requests", "model", "priority", "region",
)  # fmt: skip
GATEWAY_REQUESTS = _counter(
    "warmfront_gateway_requests_total",
    "Requests answered by the gateway.", "requests", "model", "code",
)  # fmt: skip
GATEWAY_IN_FLIGHT = _gauge(
    "warmfront_gateway_requests_in_flight",
    "Requests that the gateway has accepted and not yet answered in full.", "requests", "model",
)  # fmt: skip
GATEWAY_HELD = _gauge(
    "warmfront_gateway_requests_held",
    "Requests in line at the gateway: no replica serves, or none has room.",
    "requests", "model", "priority",
)  # fmt: skip
GATEWAY_COLD_START_HITS = _counter(
    "warmfront_gateway_cold_start_hits_total",
    "Requests whose first token missed the TTFT objective while capacity was still starting.",
    "requests", "model",
)  # fmt: skip
GATEWAY_RETRIES = _counter(
    "warmfront_gateway_retries_total",
    "Requests sent to another replica before their first byte, because one was busy, refused (it "
    "had not begun) or was lost (it may have).", "requests", "model", "reason",
)  # fmt: skip
GATEWAY_ROSTER_ERRORS = _counter(
    "warmfront_gateway_roster_errors_total",
    "Readings of the process table that failed; routing went on by the last one.", "readings",
)  # fmt: skip
GATEWAY_INPUT_TOKENS = _counter(
    "warmfront_gateway_input_tokens_total", "Prompt tokens of answered requests.",
    "tokens", "model",
)  # fmt: skip
GATEWAY_OUTPUT_TOKENS = _counter(
    "warmfront_gateway_output_tokens_total", "Tokens generated for answered requests.",
    "tokens", "model",
)  # fmt: skip

# --- Gateway: admission and tenancy ---------------------------------------------------------

GATEWAY_TURNED_AWAY = _counter(
    "warmfront_gateway_turned_away_total",
    "Requests that were told to come back later: predicted_wait (its class's TTFT budget would "
    "be missed), queue_full, shed (for one that is preferred), expired (in line for too long) or "
    "rate_limit (of its key).", "requests", "model", "priority", "reason",
)  # fmt: skip
GATEWAY_BACKLOG = _gauge(
    "warmfront_gateway_backlog_tokens", "Tokens that requests in line are expected to take.",
    "tokens", "model",
)  # fmt: skip
GATEWAY_THROUGHPUT = _gauge(
    "warmfront_gateway_throughput_tokens_per_second",
    "Tokens per second that the replicas of a model were measured to work off while busy.",
    "tokens_per_second", "model",
)  # fmt: skip
GATEWAY_PREDICTED_WAIT = _gauge(
    "warmfront_gateway_predicted_wait_seconds",
    "Predicted wait of a request that would come now, by its priority.",
    "seconds", "model", "priority",
)  # fmt: skip
TENANT_REQUESTS = _counter(
    "warmfront_gateway_tenant_requests_total",
    "Requests by tenant, the first ones by name and the rest as other, and by outcome: answered "
    "or the error_type.",
    "requests", "tenant", "outcome",
)  # fmt: skip
TENANT_TOKENS = _counter(
    "warmfront_gateway_tenant_tokens_total",
    "Tokens by tenant and kind: input or output.", "tokens", "tenant", "kind",
)  # fmt: skip
GATEWAY_UNAUTHORIZED = _counter(
    "warmfront_gateway_unauthorized_total",
    "Requests without a key that opens what they ask for: missing, unknown, expired, revoked or "
    "scope (it opens something else).",
    "requests", "reason",
)  # fmt: skip

# --- Gateway: coalescing, routing, and what becomes of requests -----------------------------

GATEWAY_COALESCED = _counter(
    "warmfront_gateway_coalesced_total",
    "Requests answered without computing: from an equal one in flight, or from the cache.",
    "requests", "model", "source",
)  # fmt: skip
GATEWAY_SAVED_TOKENS = _counter(
    "warmfront_gateway_saved_tokens_total",
    "Input and output tokens that coalesced requests did not cost.", "tokens", "model", "source",
)  # fmt: skip
GATEWAY_CACHE_BYTES = _gauge(
    "warmfront_gateway_cache_bytes", "Size of the answers in the response cache.", "bytes"
)
GATEWAY_ROUTED = _counter(
    "warmfront_gateway_routed_total", "Choices of a replica by the reason that decided them.",
    "requests", "model", "reason",
)  # fmt: skip
GATEWAY_REGION_ROUTED = _counter(
    "warmfront_gateway_region_routed_total", "Choices of a replica by its region.",
    "requests", "model", "region",
)  # fmt: skip
GATEWAY_BREAKER = _gauge(
    "warmfront_gateway_breaker_open", "1 while a replica is passed over for its failures, else 0.",
    "bool", "model", "replica",
)  # fmt: skip
GATEWAY_BREAKER_MOVES = _counter(
    "warmfront_gateway_breaker_moves_total",
    "Changes of circuit breakers, by the state they came to: open, half_open or closed.",
    "changes", "model", "state",
)  # fmt: skip
GATEWAY_LOAD_AGE = _gauge(
    "warmfront_gateway_load_age_seconds", "Age of what the gateway knows of a replica's load.",
    "seconds", "model", "replica",
)  # fmt: skip
GATEWAY_RETRIES_DENIED = _counter(
    "warmfront_gateway_retries_denied_total", "Retries that the retry budget did not allow.",
    "requests", "model",
)  # fmt: skip
GATEWAY_HEDGES = _counter(
    "warmfront_gateway_hedges_total",
    "Second tries sent while the first was slow, by result: won, lost, failed or denied.",
    "requests", "model", "result",
)  # fmt: skip
GATEWAY_DISCONNECTS = _counter(
    "warmfront_gateway_disconnects_total",
    "Requests whose client left, by phase: in_line, before_first_token or after_first_token.",
    "requests", "model", "phase",
)  # fmt: skip
GATEWAY_KEEPALIVES = _counter(
    "warmfront_gateway_keepalives_total",
    "Comments sent on streams that had nothing else to say yet.", "comments", "model",
)  # fmt: skip
GATEWAY_DRAINED = _counter(
    "warmfront_gateway_drained_requests_total",
    "Requests in flight when the gateway was told to end: finished, or killed at the bound.",
    "requests", "outcome",
)  # fmt: skip

# --- Gateway: rollouts ----------------------------------------------------------------------

ROLLOUT_WEIGHT = _gauge(
    "warmfront_rollout_weight_ratio", "Share of new sessions that a version gets.",
    "ratio", "model", "version",
)  # fmt: skip
ROLLOUT_MOVES = _counter(
    "warmfront_rollout_moves_total", "Changes of rollouts by the phase they came to.",
    "changes", "model", "phase", "reason",
)  # fmt: skip
ROLLOUT_REQUESTS = _counter(
    "warmfront_rollout_requests_total",
    "Requests during a rollout by version and outcome: ok or failed.",
    "requests", "model", "version", "outcome",
)  # fmt: skip
ROLLOUT_FALLBACKS = _counter(
    "warmfront_rollout_fallbacks_total",
    "Requests served by another version than the chosen one, of which no replica served.",
    "requests", "model", "version",
)  # fmt: skip
ROLLOUT_TTFT = _histogram(
    "warmfront_rollout_time_to_first_token_seconds",
    "Time to first token during a rollout by version, from being sent to the replica.",
    "seconds", "model", "version", buckets=_TTFT_BUCKETS,
)  # fmt: skip
ROLLOUT_QUALITY = _gauge(
    "warmfront_rollout_quality_ratio", "Share of quality probes that a version passed lately.",
    "ratio", "model", "version",
)  # fmt: skip

# --- Replica: what the engine does ----------------------------------------------------------

_REPLICA = ("model", "replica")

REPLICA_RUNNING = _gauge(
    "warmfront_replica_requests_running", "Requests in the batch.", "requests", *_REPLICA
)
REPLICA_WAITING = _gauge(
    "warmfront_replica_requests_waiting", "Requests waiting for a place in the batch.",
    "requests", *_REPLICA,
)  # fmt: skip
REPLICA_SLOTS = _gauge(
    "warmfront_replica_slots", "Requests that fit into one batch.", "requests", *_REPLICA
)
REPLICA_KV_USAGE = _gauge(
    "warmfront_replica_kv_usage_ratio", "Share of the KV cache in use, 0 to 1.", "ratio", *_REPLICA
)
REPLICA_BUSY = _counter(
    "warmfront_replica_busy_seconds_total", "Time spent in engine iterations.",
    "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_ITERATIONS = _counter(
    "warmfront_replica_iterations_total", "Engine iterations.", "iterations", *_REPLICA
)
REPLICA_PREFILL_TOKENS = _counter(
    "warmfront_replica_prefill_tokens_total", "Prompt tokens computed.", "tokens", *_REPLICA
)
REPLICA_DECODE_TOKENS = _counter(
    "warmfront_replica_decode_tokens_total", "Tokens generated.", "tokens", *_REPLICA
)
REPLICA_BATCH_SIZE = _histogram(
    "warmfront_replica_batch_size", "Requests per engine iteration.", "requests", *_REPLICA,
    buckets=_BATCH_BUCKETS,
)  # fmt: skip
REPLICA_STAGE = _histogram(
    "warmfront_replica_stage_seconds",
    "Time a request spent in one stage: encode (images), queue, prefill or decode, and device "
    "(in the runtime, part of prefill and decode).",
    "seconds", *_REPLICA, "stage", buckets=_STAGE_BUCKETS,
)  # fmt: skip
REPLICA_MEMORY = _gauge(
    "warmfront_replica_memory_bytes", "Resident memory of the replica's process.",
    "bytes", *_REPLICA,
)  # fmt: skip
REPLICA_ITERATION_FIXED = _gauge(
    "warmfront_replica_iteration_fixed_seconds",
    "Profiled time of an iteration before any token is counted (alpha).", "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_ITERATION_DECODE = _gauge(
    "warmfront_replica_iteration_decode_token_seconds",
    "Profiled time that each decoded token adds to an iteration (beta).", "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_ITERATION_PREFILL = _gauge(
    "warmfront_replica_iteration_prefill_token_seconds",
    "Profiled time that each prompt token adds to an iteration (delta).", "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_PACED = _gauge(
    "warmfront_replica_paced_iteration_seconds",
    "Shortest iteration the replica is held to, to stand for a larger model (simulated); "
    "0 where it runs at its own speed.", "seconds", *_REPLICA,
)  # fmt: skip

REPLICA_ITERATION_PART = _counter(
    "warmfront_replica_iteration_part_seconds_total",
    "Time of engine iterations by part: plan (choosing and laying out), run (the graph) and "
    "sample (drawing tokens).", "seconds", *_REPLICA, "part",
)  # fmt: skip
REPLICA_PROGRESS_AGE = _gauge(
    "warmfront_replica_progress_age_seconds",
    "Time since the engine last advanced while it has work; 0 while it is idle.",
    "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_CANCELLED = _counter(
    "warmfront_replica_cancelled_total",
    "Requests cancelled because their client left, by phase: before the first token, or after.",
    "requests", *_REPLICA, "phase",
)  # fmt: skip
REPLICA_DRAINED = _counter(
    "warmfront_replica_drained_requests_total",
    "Requests in flight when the replica began to drain: finished, or killed at the bound.",
    "requests", *_REPLICA, "outcome",
)  # fmt: skip
REPLICA_TTFT = _histogram(
    "warmfront_replica_time_to_first_token_seconds",
    "Time from a request's arrival at the engine to its first token.",
    "seconds", *_REPLICA, buckets=_TTFT_BUCKETS,
)  # fmt: skip
REPLICA_ITL = _histogram(
    "warmfront_replica_inter_token_latency_seconds",
    "Time between two successive tokens of one choice.",
    "seconds", *_REPLICA, buckets=_ITL_BUCKETS,
)  # fmt: skip
REPLICA_FINISHED = _counter(
    "warmfront_replica_finished_total",
    "Choices that came to their end, by reason: stop or length.", "choices", *_REPLICA, "reason",
)  # fmt: skip
REPLICA_PREEMPTIONS = _counter(
    "warmfront_replica_preemptions_total",
    "Sequences that lost their KV blocks and compute them again.", "sequences", *_REPLICA,
)  # fmt: skip
REPLICA_KV_BYTES = _gauge(
    "warmfront_replica_kv_bytes", "Memory set aside for the KV cache of all instances.",
    "bytes", *_REPLICA,
)  # fmt: skip
REPLICA_KV_BLOCKS = _gauge(
    "warmfront_replica_kv_blocks",
    "KV blocks by state: used, cached (used by no sequence, contents kept) or free; "
    "shared ones (used by several sequences) are among the used.",
    "blocks", *_REPLICA, "state",
)  # fmt: skip
REPLICA_KV_WASTE = _gauge(
    "warmfront_replica_kv_waste_ratio", "Share of the used KV blocks' room that holds no token.",
    "ratio", *_REPLICA,
)  # fmt: skip
REPLICA_PREFIX_QUERIED = _counter(
    "warmfront_replica_prefix_queried_tokens_total",
    "Tokens of sequences that looked for their beginning in the prefix cache.",
    "tokens", *_REPLICA,
)  # fmt: skip
REPLICA_PREFIX_HIT = _counter(
    "warmfront_replica_prefix_hit_tokens_total",
    "Tokens that the prefix cache held, so that they were not computed.", "tokens", *_REPLICA,
)  # fmt: skip
REPLICA_IMAGE_HITS = _counter(
    "warmfront_replica_image_hits_total",
    "Images whose embeddings were cached or being computed.", "images", *_REPLICA,
)  # fmt: skip
REPLICA_IMAGE_MISSES = _counter(
    "warmfront_replica_image_misses_total", "Images that had to be encoded.",
    "images", *_REPLICA,
)  # fmt: skip
REPLICA_IMAGE_FAILURES = _counter(
    "warmfront_replica_image_failures_total", "Images that could not be encoded.",
    "images", *_REPLICA,
)  # fmt: skip
REPLICA_IMAGE_BATCHES = _counter(
    "warmfront_replica_image_batches_total", "Batches of images that were encoded together.",
    "batches", *_REPLICA,
)  # fmt: skip
REPLICA_IMAGE_ENCODE = _counter(
    "warmfront_replica_image_encode_seconds_total", "Time spent in the vision encoder.",
    "seconds", *_REPLICA,
)  # fmt: skip
REPLICA_TENSOR_BATCH = _histogram(
    "warmfront_replica_tensor_batch_size",
    "Rows per batch of a model that answers in one step.", "rows", *_REPLICA,
    buckets=_BATCH_BUCKETS,
)  # fmt: skip
REPLICA_TENSOR_QUEUE = _histogram(
    "warmfront_replica_tensor_queue_seconds",
    "Time that a request to a model that answers in one step waited for its batch.",
    "seconds", *_REPLICA, buckets=_STAGE_BUCKETS,
)  # fmt: skip
REPLICA_LOADS = _counter(
    "warmfront_replica_loads_total", "Models loaded, by outcome: loaded or failed.",
    "models", *_REPLICA, "outcome",
)  # fmt: skip
REPLICA_LOAD_PHASE = _gauge(
    "warmfront_replica_load_phase_seconds",
    "Time of the last load of a model by phase; the first one of a process includes its start. "
    "Phases called runtime.* are the runtime's own account of the others.",
    "seconds", *_REPLICA, "phase",
)  # fmt: skip
REPLICA_SLEEP = _gauge(
    "warmfront_replica_sleep_seconds", "Time that the replica last took to fall asleep.",
    "seconds", *_REPLICA, "level",
)  # fmt: skip
REPLICA_SLEEP_MEMORY = _gauge(
    "warmfront_replica_sleep_memory_bytes",
    "Resident memory of the process before and after it last fell asleep.",
    "bytes", *_REPLICA, "level", "moment",
)  # fmt: skip
REPLICA_WAKE_PHASE = _gauge(
    "warmfront_replica_wake_phase_seconds",
    "Time that a model last took to wake, by the level of its sleep and by phase.",
    "seconds", *_REPLICA, "level", "phase",
)  # fmt: skip

# --- Autoscaler -----------------------------------------------------------------------------

REPLICAS = _gauge("warmfront_replicas", "Replicas by state.", "replicas", "model", "state")
REPLICAS_WANTED = _gauge(
    "warmfront_replicas_wanted", "Replicas that the plan wants per tier.",
    "replicas", "model", "tier",
)  # fmt: skip
REPLICA_SECONDS = _counter(
    "warmfront_replica_seconds_total", "Time that replicas have spent in each state.",
    "seconds", "model", "state",
)  # fmt: skip
REPLICA_STARTS = _counter(
    "warmfront_replica_starts_total", "Replica starts by outcome: ready, adopted or failed.",
    "replicas", "model", "outcome",
)  # fmt: skip
REPLICA_START = _histogram(
    "warmfront_replica_start_seconds", "Time from starting a replica to its weights being loaded.",
    "seconds", "model", buckets=_START_BUCKETS,
)  # fmt: skip
REPLICA_WAKE = _histogram(
    "warmfront_replica_wake_seconds", "Time from waking a standby replica to its serving.",
    "seconds", "model", buckets=(0.001, 0.01, 0.1, *_START_BUCKETS[1:]),
)  # fmt: skip
REPLICA_CRASHES = _counter(
    "warmfront_replica_crashes_total", "Replicas that died without being asked to.",
    "replicas", "model",
)  # fmt: skip
PLAN_DECISIONS = _counter(
    "warmfront_plan_decisions_total", "Plans by the reason that decided them.",
    "plans", "model", "reason",
)  # fmt: skip
CAPACITY = _gauge(
    "warmfront_capacity_requests_per_second",
    "Requests per second that one replica sustains at the present request size.",
    "requests_per_second", "model",
)  # fmt: skip
LEAD_TIME = _gauge(
    "warmfront_lead_time_seconds", "Measured time from deciding to readiness, by step.",
    "seconds", "model", "step",
)  # fmt: skip
AUTOSCALER_TICK = _histogram(
    "warmfront_autoscaler_tick_seconds", "Time of one turn of the autoscaler's loop.", "seconds",
    buckets=_STAGE_BUCKETS,
)  # fmt: skip
AUTOSCALER_ERRORS = _counter(
    "warmfront_autoscaler_errors_total", "Turns of the autoscaler's loop that failed.", "ticks"
)

# --- Forecaster and alerts ------------------------------------------------------------------

FORECAST = _gauge(
    "warmfront_forecast_requests_per_second",
    "Demand expected for this moment, as forecast one step ago.",
    "requests_per_second", "model", "quantile",
)  # fmt: skip
FORECAST_AHEAD = _gauge(
    "warmfront_forecast_ahead_requests_per_second",
    "Demand expected so many seconds from the forecast's origin on.",
    "requests_per_second", "model", "quantile", "horizon",
)  # fmt: skip
FORECAST_HIGHEST = _gauge(
    "warmfront_forecast_highest_requests_per_second",
    "Highest demand expected within so many seconds from the forecast's origin on.",
    "requests_per_second", "model", "quantile", "window",
)  # fmt: skip
FORECAST_REQUEST_TOKENS = _gauge(
    "warmfront_forecast_request_tokens",
    "Mean length expected of a request so many seconds from the forecast's origin on, by kind: "
    "input or output.", "tokens", "model", "kind", "horizon",
)  # fmt: skip
FORECAST_COVERAGE = _gauge(
    "warmfront_forecast_coverage_ratio",
    "Share of the last season's demand that stayed at or below the forecast quantile, over all "
    "horizons that are tracked.",
    "ratio", "model", "quantile",
)  # fmt: skip
FORECAST_LOSS = _gauge(
    "warmfront_forecast_pinball_loss_requests_per_second",
    "Mean pinball loss over the quantiles in the last season, by seconds ahead.",
    "requests_per_second", "model", "horizon",
)  # fmt: skip
FORECAST_PIT = _gauge(
    "warmfront_forecast_pit_ratio",
    "Share of the last season's demand above one forecast quantile and up to the next, which "
    "names the bin (1 above them all): the distance of the two where it is calibrated.",
    "ratio", "model", "bin",
)  # fmt: skip
FORECAST_MATURED = _gauge(
    "warmfront_forecast_matured",
    "Forecasts of the last season whose demand has come: what coverage and loss rest on.",
    "forecasts", "model",
)  # fmt: skip
FORECAST_WEIGHT = _gauge(
    "warmfront_forecast_member_weight_ratio",
    "Share of a way to forecast in the forecast, over the horizon.", "ratio", "model", "member",
)  # fmt: skip
FORECAST_DOUBT = _gauge(
    "warmfront_forecast_doubt",
    "1 while the forecast has this doubt and nothing is scaled down for it, else 0: gaps, late, "
    "short_history or uncalibrated.", "bool", "model", "doubt",
)  # fmt: skip
FORECAST_IGNORED = _gauge(
    "warmfront_forecast_ignored_ratio",
    "Share of the history that was seen but is not learnt from, for it tells nothing of the time "
    "to come: outages, stuck counters, lone spikes.", "ratio", "model",
)  # fmt: skip
FORECAST_ORIGIN = _gauge(
    "warmfront_forecast_origin_timestamp_seconds",
    "Moment up to which the newest forecast knows the demand, since the epoch.",
    "seconds", "model",
)  # fmt: skip
FORECAST_DURATION = _histogram(
    "warmfront_forecast_seconds", "Time to read the demand and make a forecast.",
    "seconds", "model", buckets=_STAGE_BUCKETS,
)  # fmt: skip
FORECAST_TRAININGS = _counter(
    "warmfront_forecast_trainings_total",
    "Fits of slow ways to forecast beside the forecasts, by outcome: fitted or failed.",
    "fits", "model", "member", "outcome",
)  # fmt: skip
FORECAST_ERRORS = _counter(
    "warmfront_forecast_errors_total", "Forecasts that could not be made.", "forecasts"
)
ANOMALY_SCORE = _gauge(
    "warmfront_anomaly_score",
    "Distance of a signal from what was expected, in robust standard deviations.",
    "deviations", "model", "signal",
)  # fmt: skip
ANOMALY_LOW = _gauge(
    "warmfront_anomaly_band_low", "Lower edge of the band in which a signal is normal.",
    "signal", "model", "signal",
)  # fmt: skip
ANOMALY_HIGH = _gauge(
    "warmfront_anomaly_band_high", "Upper edge of the band in which a signal is normal.",
    "signal", "model", "signal",
)  # fmt: skip
ANOMALY_ACTIVE = _gauge(
    "warmfront_anomaly_active", "1 while a signal is abnormal, else 0.", "bool", "model", "signal"
)
ANOMALY_ERRORS = _counter(
    "warmfront_anomaly_errors_total", "Turns of the anomaly detector that failed.", "turns"
)

# --- The collection itself ------------------------------------------------------------------

SCRAPE_UP = _gauge(
    "warmfront_scrape_up", "1 where the last scrape of a target succeeded, else 0.",
    "bool", "job", "instance",
)  # fmt: skip
SCRAPE_DURATION = _gauge(
    "warmfront_scrape_duration_seconds", "Time of the last scrape of a target.",
    "seconds", "job", "instance",
)  # fmt: skip
SCRAPE_ERRORS = _counter(
    "warmfront_scrape_errors_total", "Turns of the scraper that failed.", "turns"
)
STORE_ERRORS = _counter(
    "warmfront_store_errors_total", "Samples batches that the metrics store did not take.",
    "batches",
)  # fmt: skip
GPU_UP = _gauge(
    "warmfront_gpu_up", "1 where the device answered in the last collection, else 0.",
    "bool", "gpu", "UUID", "simulated",
)  # fmt: skip
GPU_COLLECT_DURATION = _gauge(
    "warmfront_gpu_collect_duration_seconds", "Time of the last collection of a source.",
    "seconds", "source",
)  # fmt: skip
GPU_COLLECT_AGE = _gauge(
    "warmfront_gpu_collect_age_seconds", "Time since a source last answered.",
    "seconds", "source",
)  # fmt: skip
GPU_COLLECT_ERRORS = _counter(
    "warmfront_gpu_collect_errors_total", "Collections that failed or ran past their deadline.",
    "collections", "source",
)  # fmt: skip

# --- GPUs, under DCGM's names (dcgm-exporter <= 4.8, default-counters.csv) -------------------

_GPU = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "simulated")

GPU_UTIL = _gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", "percent", *_GPU)
GPU_MEM_COPY_UTIL = _gauge(
    "DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).", "percent", *_GPU
)
GPU_FB_USED = _gauge(
    "DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", "mebibytes", *_GPU
)
GPU_FB_FREE = _gauge(
    "DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", "mebibytes", *_GPU
)
GPU_POWER = _gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", "watts", *_GPU)
GPU_ENERGY = _counter(
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "Total energy consumption since boot (in mJ).", "millijoules", *_GPU,
)  # fmt: skip
GPU_TEMPERATURE = _gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", "celsius", *_GPU)
GPU_SM_CLOCK = _gauge("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", "megahertz", *_GPU)
GPU_MEM_CLOCK = _gauge(
    "DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", "megahertz", *_GPU
)
GPU_PCIE_REPLAY = _counter(
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Total number of PCIe retries.", "retries", *_GPU
)
GPU_NVLINK_BANDWIDTH = _counter(
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "Data moved over all NVLinks, both ways, since the driver was loaded (in MB).",
    "megabytes", *_GPU,
)  # fmt: skip

CATALOG: dict[str, Metric] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Metric)
}
