"""The calendar: projects the policy onto prefect.yaml. No flow code lives here."""
