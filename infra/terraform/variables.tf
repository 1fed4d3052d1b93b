# Generated from infra/template.yaml by `npm run generate` in infra/cdk: change it there.

variable "allowed_streams" {
  description = "ARNs of streams that may be read and written, with * and ?; or own alone, for all of this account."
  type        = list(string)
  default     = ["own"]
}

variable "allowed_buckets" {
  description = "ARNs of buckets that may be read and written, with * and ?; or own alone, for all. Each must belong to this account."
  type        = list(string)
  default     = ["own"]
}

variable "allowed_objects" {
  description = "ARNs of objects that may be written, such as arn:aws:s3:::archive/orders/*; or all alone, in the allowed buckets."
  type        = list(string)
  default     = ["all"]
}

variable "create_targets" {
  description = "Whether an import that says createTarget may make a missing stream among the allowed ones. A stream costs money for each of its shards."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts objects, the table and the work bucket; empty for keys that AWS owns and the buckets' own way."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(?:(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?)$", var.kms_key_arn))
    error_message = "Must match (arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?."
  }
}

variable "architecture" {
  description = "Of the functions. arm64 is cheaper; building it needs the Rust target aarch64-unknown-linux-gnu."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Must be one of x86_64, arm64."
  }
}

variable "slice_seconds" {
  description = "How long one slice works. Short ones read more twice, since the tail behind the last full part is read again; a crash costs a part or two either way."
  type        = number
  default     = 300

  validation {
    condition     = var.slice_seconds >= 5 && var.slice_seconds <= 840
    error_message = "From 5 to 840."
  }
}

variable "slice_memory" {
  description = "MiB of the functions that move events. Half of it, less 96 MiB, holds events and parts."
  type        = number
  default     = 1024

  validation {
    condition     = var.slice_memory >= 256 && var.slice_memory <= 10240
    error_message = "From 256 to 10240."
  }
}

variable "read_share" {
  description = "Part of a shard's reading limits, calls and bytes, that all exports of a stream may take together. The rest is left to other consumers. An input's readShare says otherwise for one export."
  type        = number
  default     = 0.5

  validation {
    condition     = var.read_share >= 0.001 && var.read_share <= 1
    error_message = "From 0.001 to 1."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.log_retention_days)
    error_message = "Must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653."
  }
}

variable "keep_records_days" {
  description = "Days for which the records of transfers are kept behind their end; 0 for ever. Objects and manifests stay in any case."
  type        = number
  default     = 0

  validation {
    condition     = var.keep_records_days >= 0 && var.keep_records_days <= 3650
    error_message = "From 0 to 3650."
  }
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted."
  type        = bool
  default     = true
}

variable "revision" {
  description = "To be changed together with AllowedStreams, AllowedBuckets or AllowedObjects, so that functions with the new lists are published."
  type        = string
  default     = "1"

  validation {
    condition     = can(regex("^(?:[A-Za-z0-9._-]{1,64})$", var.revision))
    error_message = "Must match [A-Za-z0-9._-]{1,64}."
  }
}

variable "schedule_expression" {
  description = "When ScheduleInput is started, such as cron(0 3 * * ? *) or rate(1 hour); empty for never."
  type        = string
  default     = ""
}

variable "schedule_timezone" {
  description = "Of a schedule by cron, such as Europe/Berlin."
  type        = string
  default     = "UTC"
}

variable "schedule_input" {
  description = "What is started then, such as {\"export\":{\"stream\":\"kinesis:orders\",\"to\":\"s3://archive/orders\",\"series\":\"nightly\"}}."
  type        = string
  default     = "{}"
}

locals {
  # Parameters of CloudFormation are text.
  parameters = {
    AllowedStreams     = join(",", var.allowed_streams)
    AllowedBuckets     = join(",", var.allowed_buckets)
    AllowedObjects     = join(",", var.allowed_objects)
    CreateTargets      = tostring(var.create_targets)
    KmsKeyArn          = tostring(var.kms_key_arn)
    Architecture       = tostring(var.architecture)
    SliceSeconds       = tostring(var.slice_seconds)
    SliceMemory        = tostring(var.slice_memory)
    ReadShare          = tostring(var.read_share)
    LogRetentionDays   = tostring(var.log_retention_days)
    KeepRecordsDays    = tostring(var.keep_records_days)
    DeletionProtection = tostring(var.deletion_protection)
    Revision           = tostring(var.revision)
    ScheduleExpression = tostring(var.schedule_expression)
    ScheduleTimezone   = tostring(var.schedule_timezone)
    ScheduleInput      = tostring(var.schedule_input)
  }
}
