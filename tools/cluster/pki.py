"""Certificates and kubeconfigs of the one-node cluster."""

import base64
import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.cluster.node import NAME, SERVICE_API, Node

LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for. Kubernetes reads the user from CN and the groups from O."""

    file: str
    user: str
    group: str | None = None


ADMIN = Identity("admin", "admin", "system:masters")
IDENTITIES = (
    ADMIN,
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("kubelet", f"system:node:{NAME}", "system:nodes"),
    Identity("coredns", "coredns"),
)


def create(node: Node, kubeconfig: Path) -> None:
    """Write the authority, every certificate, the service accounts' key and every kubeconfig."""
    pki = node.data / "pki"
    pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _Authority()
    _write(pki / "ca.crt", authority.pem)
    names = [
        x509.DNSName(f"kubernetes{tail}") for tail in ("", ".default", ".default.svc", ".default.svc.cluster.local")
    ]
    addresses = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in (node.ip, SERVICE_API, "127.0.0.1")]
    _pair(pki / "kube-apiserver", *authority.issue("kube-apiserver", None, [*names, *addresses]))
    for identity in IDENTITIES:
        certificate, key = authority.issue(identity.user, identity.group, [])
        _pair(pki / identity.file, certificate, key)
        written = _kubeconfig(node, identity, authority.pem, certificate, key)
        _write(node.data / "config" / f"{identity.file}.kubeconfig", written)
        if identity is ADMIN:
            _write(kubeconfig, written)
    signer = ec.generate_private_key(ec.SECP256R1())
    _write(pki / "service-accounts.key", _private(signer))
    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(pki / "service-accounts.pub", public)


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "inference-platform one-node cluster")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key.public_key()).add_extension(basic, critical=True)
        self.pem = _public(builder.sign(self._key, hashes.SHA256()))

    def issue(self, user: str, group: str | None, names: list[x509.GeneralName]) -> tuple[bytes, bytes]:
        """A certificate and its key, PEM; with names for a server, without for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        builder = _builder(x509.Name(attributes), self._name, key.public_key())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _public(builder.sign(self._key, hashes.SHA256())), _private(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _kubeconfig(node: Node, identity: Identity, authority: bytes, certificate: bytes, key: bytes) -> bytes:
    name = f"inference-platform-{node.identity}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": identity.user}}],
        "clusters": [{"name": name, "cluster": {"server": node.api, "certificate-authority-data": _base64(authority)}}],
        "users": [
            {
                "name": identity.user,
                "user": {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
            }
        ],
    }
    return yaml.safe_dump(document).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pair(stem: Path, certificate: bytes, key: bytes) -> None:
    _write(stem.with_name(f"{stem.name}.crt"), certificate)
    _write(stem.with_name(f"{stem.name}.key"), key)


def _write(path: Path, content: bytes) -> None:
    """Readable by its owner only, from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
