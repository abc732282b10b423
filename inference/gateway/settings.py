"""The settings of the gateway, each part's by itself; every default is fit for use."""

from dataclasses import dataclass, field

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.limits import GatewayLimits
from inference.gateway.objectives import Objectives
from inference.gateway.rollout.settings import RolloutSettings
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.tenancy.settings import TenancySettings


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What an operator may set of the gateway."""

    limits: GatewayLimits = field(default_factory=GatewayLimits)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    coalescing: CoalescingSettings = field(default_factory=CoalescingSettings)
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    tenancy: TenancySettings = field(default_factory=TenancySettings)
    objectives: Objectives = field(default_factory=Objectives)
    has_vllm_names: bool = False  # whether /metrics/vllm is there
