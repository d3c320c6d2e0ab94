"""The agent card: what this server is, where it is reached, what it can do, and who may ask."""

from __future__ import annotations

from importlib.metadata import version

from a2a.types import a2a_pb2 as pb

from holdfast.a2a.extension import DESCRIPTION, URI
from holdfast.a2a.incoming import FILE_TYPES
from holdfast.a2a.key import HEADER
from holdfast.nodes.registry import Registry

VERSION = "1.0"
JSONRPC, REST = "/a2a", "/a2a/rest"
API_KEY_HEADER = HEADER
SKILL = pb.AgentSkill(
    id="market-research-report",
    name="Market research report",
    description="Plans, analyses data files and writes a report with charts, text and evidence for each number.",
    tags=["report", "market research", "data analysis"],
    examples=["Market research report on Norway's new car market"],
)
PLAN_SKILL = pb.AgentSkill(
    id="run-plan",
    name="Carry out a plan",
    description="Runs a plan of subtasks with dependencies in parallel: a data part with {'plan': {'subtasks': […]}}.",
    tags=["orchestration", "plan", "parallel"],
    examples=['{"plan": {"subtasks": [{"id": "nap", "type": "sleep", "params": {"seconds": 1}}]}}'],
    input_modes=["application/json"],
)


def card(base: str, *, pausable: bool, keys: bool, grpc: str | None = None) -> pb.AgentCard:
    """The public card; ``base`` is the URL that the routes stand under, ``grpc`` host:port if that is served."""
    made = pb.AgentCard(
        name="Holdfast",
        description="Takes a goal, breaks it into subtasks, works on them in parallel; can be paused, asked, resumed.",
        version=version("holdfast"),
        supported_interfaces=[
            pb.AgentInterface(url=f"{base}{JSONRPC}", protocol_binding="JSONRPC", protocol_version=VERSION),
            pb.AgentInterface(url=f"{base}{REST}", protocol_binding="HTTP+JSON", protocol_version=VERSION),
            *([pb.AgentInterface(url=grpc, protocol_binding="GRPC", protocol_version=VERSION)] if grpc else []),
        ],
        capabilities=pb.AgentCapabilities(
            streaming=True,
            push_notifications=False,
            extended_agent_card=True,
            extensions=[_pause()] if pausable else [],
        ),
        default_input_modes=["text/plain", *sorted(set(FILE_TYPES) - {"text/plain"})],
        default_output_modes=["text/plain", "application/json", "text/markdown", "text/html", "application/pdf"],
        skills=[SKILL, PLAN_SKILL],
    )
    if keys:
        made.security_schemes["apiKey"].api_key_security_scheme.location = "header"
        made.security_schemes["apiKey"].api_key_security_scheme.name = API_KEY_HEADER
        made.security_schemes["bearer"].http_auth_security_scheme.scheme = "Bearer"
        for scheme in ("apiKey", "bearer"):
            made.security_requirements.add().schemes[scheme].SetInParent()
    return made


def extended(public: pb.AgentCard, types: Registry) -> pb.AgentCard:
    """The card with a skill for each task type that a plan may use."""
    made = pb.AgentCard()
    made.CopyFrom(public)
    for kind in types:
        made.skills.add(
            id=f"type:{kind.name}",
            name=kind.name,
            description=kind.description.partition("\n\n")[0] or f"The task type {kind.name}.",
            tags=["task type"],
            input_modes=["application/json"],
        )
    return made


def _pause() -> pb.AgentExtension:
    made = pb.AgentExtension(uri=URI, description=DESCRIPTION, required=False)
    made.params.update(
        {"pause_resume": True, "methods": ["PauseTask", "ResumeTask"], "modes": ["now", "step", "drain"]}
    )
    return made
