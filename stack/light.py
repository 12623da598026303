"""The map of light mode: containers without Kubernetes.

registry -> images -> mlflow -> inference, with database and bucket under mlflow
"""

from stack.clouds.contract import Access, Container, LightCloud
from stack.components.inference import PORT as INFERENCE_PORT
from stack.components.inference import BakedModel, ModelStorage, RegisteredModel, model_variables
from stack.components.mlflow import USER
from stack.components.mlflow_server import PORT as MLFLOW_PORT
from stack.components.mlflow_server import database_uri, server_arguments, upgrade_arguments
from stack.images import Images
from stack.outputs import Platform
from stack.settings import Settings


def build_light(settings: Settings, cloud: LightCloud) -> Platform:
    """Declare everything.

    Args:
        settings: What the user chose.
        cloud: The cloud.
    """
    images = Images(settings, cloud.registry)
    database = cloud.database("mlflow")
    bucket = cloud.bucket("mlflow")
    password, session_key = cloud.secret("mlflow-password"), cloud.secret("mlflow-session-key")
    writing = bucket.access("mlflow", True)
    mlflow_url = cloud.run(
        "mlflow",
        Container(
            image=images.mlflow().ref_by_name,
            program=("python", "-m", "mlflow_server"),
            arguments=server_arguments(database, bucket, cloud.hosts, login=True),
            access=Access(
                variables={
                    "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint,
                    "AWS_DEFAULT_REGION": bucket.region,
                    "MLFLOW_AUTH_DATABASE_URI": database_uri(database),
                    "MLFLOW_AUTH_ADMIN_USERNAME": USER,
                    **database.access.variables,
                    **writing.variables,
                },
                secrets={
                    "MLFLOW_AUTH_ADMIN_PASSWORD": password.reference,
                    "MLFLOW_FLASK_SERVER_SECRET_KEY": session_key.reference,
                    **database.access.secrets,
                    **writing.secrets,
                },
                identity=database.access.identity,
            ),
            port=MLFLOW_PORT,
            health_path="/health",
            replicas=1,
            release=upgrade_arguments(database, login=True),
            releasing=database.preparing,
        ),
    )
    storage: ModelStorage = (
        BakedModel() if settings.model_storage == "image" else RegisteredModel(mlflow_url, settings.model_alias, None)
    )
    registered = isinstance(storage, RegisteredModel)
    image = images.inference()
    inference_url = cloud.run(
        "inference",
        Container(
            image=image.ref_by_name,
            program=("python", "-m", "inference_app"),
            arguments=(),
            access=Access(
                variables={
                    **model_variables(settings.model_name, storage),
                    "INFERENCE_PORT": str(INFERENCE_PORT),
                    **({"INFERENCE_MLFLOW_USERNAME": USER} if registered else {}),
                },
                secrets={"INFERENCE_MLFLOW_PASSWORD": password.reference} if registered else {},
            ),
            port=INFERENCE_PORT,
            # A container counts as deployed once it is well: until there is a model, it answers requests with 503.
            health_path="/healthz",
            replicas=settings.replicas,
        ),
    )
    return Platform(
        inference_url=inference_url,
        mlflow_url=mlflow_url,
        mlflow_user=USER,
        mlflow_password=password.value,
        model_name=settings.model_name,
        image_ref=image.ref,
        image_digest=image.digest,
        registry=cloud.registry.prefix,
        bucket=bucket.name,
        database_host=database.host,
        cluster_name="",
        namespace="",
        kubeconfig_path="",
        kubeconfig_command="",
    )
