"""IAM policy documents."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

Statement = Mapping[str, object]


def allow(
    actions: Sequence[str], resources: Sequence[pulumi.Input[str]], conditions: Mapping[str, object] | None = None
) -> Statement:
    """Allow actions on resources; all that is not allowed is denied."""
    statement: dict[str, object] = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement | ({"Condition": conditions} if conditions else {})


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def service_role(
    name: str,
    service: str,
    managed: Sequence[str],
    parent: pulumi.Resource,
    actions: Sequence[str] = ("sts:AssumeRole",),
) -> aws.iam.Role:
    """A role of one of AWS's services, and the policies that AWS keeps for it.

    Args:
        name: The role's name in the program.
        service: The service's principal.
        managed: The policies' ARNs.
        parent: The component it belongs to.
        actions: How the service takes it on.
    """
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}
    role = aws.iam.Role(
        name,
        assume_role_policy=document(trust),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    for arn in managed:
        aws.iam.RolePolicyAttachment(
            f"{name}-{arn.rpartition('/')[2]}",
            role=role.name,
            policy_arn=arn,
            opts=pulumi.ResourceOptions(parent=parent),
        )
    return role
