resource "juju_application" "velero_operator" {
  name       = var.app_name
  model_uuid = var.model_uuid

  charm {
    name     = "velero-operator"
    base     = var.base
    channel  = var.channel
    revision = var.revision
  }

  config      = var.config
  constraints = var.constraints
  units       = var.units

  # Velero reads and writes the whole cluster.
  trust = true
}
