"""Deploy: everything in ``prefect.yaml``, and then the forms that the file has no words for.

python -m deployments.apply             with PREFECT_API_URL set, in the folder of prefect.yaml
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate

from deployments.forms import restore_form
from deployments.render import POLICY
from lifeboat.adapters.policy_file import read_policy
from lifeboat.model.policy import Policy


def apply_forms(client: SyncPrefectClient, policy: Policy) -> list[str]:
    """Give every restore deployment the form of its environment; returns their names."""
    applied = []
    for name, environment in policy.environments.items():
        found = client.read_deployment_by_name(f"restore/{name}")
        form = restore_form(found.parameter_openapi_schema or {}, environment)
        client.update_deployment(
            found.id, DeploymentUpdate(parameter_openapi_schema=form, enforce_parameter_schema=True)
        )
        applied.append(f"restore/{name}")
    return applied


def main() -> int:
    """The exit code of ``prefect deploy --all``, or 0."""
    done = subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], check=False)
    if done.returncode != 0:
        return done.returncode
    with get_client(sync_client=True) as client:
        for name in apply_forms(client, read_policy(Path(POLICY))):
            sys.stdout.write(f"Gave {name} the choices of the policy.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
