"""What a stack tells of itself, by the same names on every cloud."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, slots=True)
class Platform:
    """What there is once all is up. What a stack does not have is empty.

    Attributes:
        inference_url: Where predictions are made.
        mlflow_url: MLflow.
        mlflow_user: Its user.
        mlflow_password: The user's password, a secret.
        model_name: The model that is served.
        image_ref: The inference image, by digest.
        image_digest: Its digest.
        registry: The prefix of all images.
        bucket: The bucket of artifacts.
        database_host: The database's host.
        cluster_name: The cluster.
        namespace: The platform's namespace in it.
        kubeconfig_path: Where a kubeconfig lies, on every cloud but `local` once the command was run.
        kubeconfig_command: A command that writes a kubeconfig.
    """

    inference_url: pulumi.Input[str]
    mlflow_url: pulumi.Input[str]
    mlflow_user: str
    mlflow_password: pulumi.Input[str]
    model_name: str
    image_ref: pulumi.Input[str]
    image_digest: pulumi.Input[str]
    registry: pulumi.Input[str]
    bucket: pulumi.Input[str]
    database_host: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    namespace: pulumi.Input[str]
    kubeconfig_path: str
    kubeconfig_command: pulumi.Input[str]


def export(platform: Platform, monthly_cost: str) -> None:
    """Make them the stack's outputs."""
    outputs: dict[str, pulumi.Input[object]] = {
        "inferenceUrl": platform.inference_url,
        "mlflowUrl": platform.mlflow_url,
        "mlflowUser": platform.mlflow_user,
        "mlflowPassword": pulumi.Output.secret(platform.mlflow_password),
        "modelName": platform.model_name,
        "imageRef": platform.image_ref,
        "imageDigest": platform.image_digest,
        "registry": platform.registry,
        "bucket": platform.bucket,
        "databaseHost": platform.database_host,
        "clusterName": platform.cluster_name,
        "namespace": platform.namespace,
        "kubeconfigPath": platform.kubeconfig_path,
        "kubeconfigCommand": platform.kubeconfig_command,
        "dashboards": {
            "mlflow": platform.mlflow_url,
            "metrics": pulumi.Output.concat(platform.inference_url, "/metrics"),
        },
        "monthlyCost": monthly_cost,
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
