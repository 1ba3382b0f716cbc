variable "app_name" {
  description = "Name of the application. Not velero, which is the name of Velero's own Deployment."
  type        = string
  default     = "velero-operator"
  nullable    = false

  validation {
    condition = !contains(
      ["velero", "node-agent", "velero-metrics", "cloud-credentials", "velero-repo-credentials"],
      var.app_name
    )
    error_message = "An object of Velero has this name: choose another one."
  }
}

variable "base" {
  description = "Base of the charm."
  type        = string
  default     = "ubuntu@24.04"
}

variable "channel" {
  description = "Channel of Charmhub that the charm is taken from: TRACK/RISK."
  type        = string
  default     = "latest/edge"
}

variable "config" {
  description = "Options of the charm, see docs/reference/options.md."
  type        = map(string)
  default     = {}
}

variable "constraints" {
  description = "Constraints of the application, such as arch=amd64."
  type        = string
  default     = null
}

variable "model_uuid" {
  description = "UUID of the model to deploy to. It must be on a Kubernetes cloud."
  type        = string
  nullable    = false
}

variable "revision" {
  description = "Revision of the charm. By default the channel's newest."
  type        = number
  default     = null
}

variable "units" {
  description = "How many units. One is enough: others take over when it is gone."
  type        = number
  default     = 1

  validation {
    condition     = var.units >= 1
    error_message = "There must be a unit."
  }
}
