# Generated from infra/template.yaml by `npm run generate` in infra/cdk: change it there.

variable "read_streams" {
  description = "ARNs of streams that exports may read, with * and ?; own alone for all of this account, none alone for none."
  type        = list(string)

  validation {
    condition     = alltrue([for item in var.read_streams : can(regex("^(?:own|none|arn:[a-z-]+:kinesis:[a-z0-9*?-]+:[0-9*?]+:stream/[A-Za-z0-9_.*?-]+)$", item))])
    error_message = "Must match own|none|arn:[a-z-]+:kinesis:[a-z0-9*?-]+:[0-9*?]+:stream/[A-Za-z0-9_.*?-]+."
  }
}

variable "write_streams" {
  description = "ARNs of streams that imports may write and read back, with * and ?; own alone, or none alone."
  type        = list(string)

  validation {
    condition     = alltrue([for item in var.write_streams : can(regex("^(?:own|none|arn:[a-z-]+:kinesis:[a-z0-9*?-]+:[0-9*?]+:stream/[A-Za-z0-9_.*?-]+)$", item))])
    error_message = "Must match own|none|arn:[a-z-]+:kinesis:[a-z0-9*?-]+:[0-9*?]+:stream/[A-Za-z0-9_.*?-]+."
  }
}

variable "read_objects" {
  description = "ARNs of objects that imports may read, such as those of a bucket's folder with * behind it; own alone for all of this account, none alone for none."
  type        = list(string)

  validation {
    condition     = alltrue([for item in var.read_objects : can(regex("^(?:own|none|arn:[a-z-]+:s3:::[a-z0-9.*?-]+/.+)$", item))])
    error_message = "Must match own|none|arn:[a-z-]+:s3:::[a-z0-9.*?-]+/.+."
  }
}

variable "write_objects" {
  description = "ARNs of objects that exports may make and read back, never overwrite; own alone, or none alone."
  type        = list(string)

  validation {
    condition     = alltrue([for item in var.write_objects : can(regex("^(?:own|none|arn:[a-z-]+:s3:::[a-z0-9.*?-]+/.+)$", item))])
    error_message = "Must match own|none|arn:[a-z-]+:s3:::[a-z0-9.*?-]+/.+."
  }
}

variable "create_targets" {
  description = "Whether an import that says createTarget may make a missing stream among WriteStreams. A stream costs money for each of its shards."
  type        = bool
  default     = false
}

variable "data_keys" {
  description = "ARNs of the KMS keys that encrypt the buckets and streams, old ones too; or none."
  type        = list(string)
  default     = ["none"]

  validation {
    condition     = alltrue([for item in var.data_keys : can(regex("^(?:none|arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)$", item))])
    error_message = "Must match none|arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+."
  }
}

variable "stack_key_arn" {
  description = "ARN of the KMS key that encrypts the table and the work bucket; empty for keys that AWS owns."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(?:(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?)$", var.stack_key_arn))
    error_message = "Must match (arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?."
  }
}

variable "architecture" {
  description = "Of the functions, as they were built. arm64 is cheaper; building it needs the Rust target aarch64-unknown-linux-gnu."
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

variable "lanes_at_once" {
  description = "Functions that move events of one transfer at once, at most. A new account may run 10 functions at once, all together."
  type        = number
  default     = 40

  validation {
    condition     = var.lanes_at_once >= 1 && var.lanes_at_once <= 200
    error_message = "From 1 to 200."
  }
}

variable "reserved_concurrency" {
  description = "Concurrency that is reserved for export and again for import, and limits each of them; 0 for none."
  type        = number
  default     = 0

  validation {
    condition     = var.reserved_concurrency >= 0
    error_message = "From 0."
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

variable "log_key_arn" {
  description = "ARN of the KMS key that encrypts the logs; empty for a key that AWS owns."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(?:(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?)$", var.log_key_arn))
    error_message = "Must match (arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?."
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

variable "tracing" {
  description = "Whether X-Ray traces calls. PassThrough for those that their caller traces, Active for sampled ones of the workflow too. Nothing of it is in the functions."
  type        = string
  default     = "Disabled"

  validation {
    condition     = contains(["Disabled", "PassThrough", "Active"], var.tracing)
    error_message = "Must be one of Disabled, PassThrough, Active."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(?:(arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+)?)$", var.permissions_boundary))
    error_message = "Must match (arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+)?."
  }
}

variable "role_path" {
  description = "Path of the roles and managed policies, such as /teams/data/."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^(?:/([!-~]+/)?)$", var.role_path))
    error_message = "Must match /([!-~]+/)?."
  }
}

variable "subnet_ids" {
  description = "Subnets of a VPC that the functions run in, in two zones at least; or none."
  type        = list(string)
  default     = ["none"]

  validation {
    condition     = alltrue([for item in var.subnet_ids : can(regex("^(?:none|subnet-[0-9a-f]+)$", item))])
    error_message = "Must match none|subnet-[0-9a-f]+."
  }
}

variable "security_group_ids" {
  description = "Security groups of the functions, where there are SubnetIds. They need HTTPS outwards, and nothing inwards."
  type        = list(string)
  default     = ["none"]

  validation {
    condition     = alltrue([for item in var.security_group_ids : can(regex("^(?:none|sg-[0-9a-f]+)$", item))])
    error_message = "Must match none|sg-[0-9a-f]+."
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
    ReadStreams         = join(",", var.read_streams)
    WriteStreams        = join(",", var.write_streams)
    ReadObjects         = join(",", var.read_objects)
    WriteObjects        = join(",", var.write_objects)
    CreateTargets       = tostring(var.create_targets)
    DataKeys            = join(",", var.data_keys)
    StackKeyArn         = tostring(var.stack_key_arn)
    Architecture        = tostring(var.architecture)
    SliceSeconds        = tostring(var.slice_seconds)
    SliceMemory         = tostring(var.slice_memory)
    ReadShare           = tostring(var.read_share)
    LanesAtOnce         = tostring(var.lanes_at_once)
    ReservedConcurrency = tostring(var.reserved_concurrency)
    LogRetentionDays    = tostring(var.log_retention_days)
    LogKeyArn           = tostring(var.log_key_arn)
    KeepRecordsDays     = tostring(var.keep_records_days)
    DeletionProtection  = tostring(var.deletion_protection)
    Tracing             = tostring(var.tracing)
    PermissionsBoundary = tostring(var.permissions_boundary)
    RolePath            = tostring(var.role_path)
    SubnetIds           = join(",", var.subnet_ids)
    SecurityGroupIds    = join(",", var.security_group_ids)
    ScheduleExpression  = tostring(var.schedule_expression)
    ScheduleTimezone    = tostring(var.schedule_timezone)
    ScheduleInput       = tostring(var.schedule_input)
  }
}
