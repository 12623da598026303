"""The Pulumi program: settings -> platform -> exports."""

import pulumi

from stack.platform import build_platform
from stack.settings import load_settings

platform = build_platform(load_settings(), stack=pulumi.get_stack())

pulumi.export("inferenceUrl", platform.inference_url)
pulumi.export("mlflowUrl", platform.mlflow_url)
pulumi.export("modelName", platform.model_name)
pulumi.export("imageRef", platform.image_ref)
pulumi.export("namespace", platform.namespace)
pulumi.export("kubeconfigPath", platform.kubeconfig_path)
pulumi.export("registry", platform.registry)
