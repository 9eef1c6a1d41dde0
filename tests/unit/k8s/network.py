"""What a set of NetworkPolicies lets pass, for pods of one namespace and their peers.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from tests.unit.k8s.manifests import container, matches, of_kind, pods

NAMESPACE = "onemin-gateway"


@dataclass(frozen=True)
class Peer:
    """A pod somewhere in the cluster, or an address outside."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


def pod(variant, name):
    return Peer(NAMESPACE, pods(variant)[name]["metadata"]["labels"])


def enters(variant, source, name, port):
    """Say whether `source` reaches a port of a Deployment's pods."""
    return _passes(variant, pods(variant)[name], "Ingress", source, port, pods(variant)[name])


def leaves(variant, name, destination, port, *, to=None):
    """Say whether a Deployment's pods reach `destination`; `to` resolves names of ports."""
    far = pods(variant)[to] if to else None
    return _passes(variant, pods(variant)[name], "Egress", destination, port, far)


def _passes(variant, template, direction, peer, port, listener):
    labels = template["metadata"]["labels"]
    policies = [
        policy["spec"]
        for policy in of_kind(variant, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], labels)
    ]
    assert policies, "an isolated pod is chosen by at least one policy"
    way, ends = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return any(
        any(_is_port(allowed, port, listener) for allowed in rule["ports"])
        and any(_is_peer(end, peer) for end in rule[ends])
        for policy in policies
        for rule in policy.get(way, [])
    )


def _is_port(allowed, port, listener):
    number = allowed["port"]
    if isinstance(number, str) and listener is None:
        return False
    if isinstance(number, str):
        ports = {entry["name"]: entry["containerPort"] for entry in container(listener)["ports"]}
        number = ports.get(number)
    return number == port


def _is_peer(end, peer):
    if "ipBlock" in end:
        return bool(peer.address) and _is_within(end["ipBlock"], peer.address)
    if peer.address:
        return False
    if "namespaceSelector" in end:
        name = {"kubernetes.io/metadata.name": peer.namespace}
        if not matches(end["namespaceSelector"], name):
            return False
    elif peer.namespace != NAMESPACE:
        return False
    return matches(end.get("podSelector", {}), peer.labels)


def _is_within(block, text):
    address = ipaddress.ip_address(text)
    return address in ipaddress.ip_network(block["cidr"]) and not any(
        address in ipaddress.ip_network(hole) for hole in block.get("except", [])
    )
