output "app_name" {
  description = "Name of the application."
  value       = juju_application.velero_operator.name
}

output "requires" {
  description = "Endpoints by which the application uses others."
  value = {
    s3_credentials          = "s3-credentials"
    azure_storage           = "azure-storage"
    azure_service_principal = "azure-service-principal"
    gcs_credentials         = "gcs-credentials"
    velero_backups          = "velero-backups"
    k8s_backup_target       = "k8s-backup-target"
  }
}

output "provides" {
  description = "Endpoints by which the application serves others."
  value = {
    metrics_endpoint  = "metrics-endpoint"
    grafana_dashboard = "grafana-dashboard"
  }
}
