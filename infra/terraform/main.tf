# Sluice, as the stack of infra/template.yaml. The template is what `sam package` wrote; CloudFormation makes its
# resources, so that there is one source of truth. Not tried in an account yet.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "Name of the stack; it stands in the names of the state machine, the bus and the groups of logs."
  type        = string
  default     = "sluice"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,63}$", var.name))
    error_message = "Up to 64 letters, digits and hyphens, a letter first."
  }
}

variable "packaged_template" {
  description = "Path of the template that `sam package` wrote."
  type        = string
}

variable "bucket" {
  description = "Bucket for the template, in the region of the stack; the one that `sam package` put the functions into."
  type        = string
}

variable "tags" {
  description = "Tags of the stack; CloudFormation puts them on its resources."
  type        = map(string)
  default     = {}
}

data "aws_s3_bucket" "packages" {
  bucket = var.bucket
}

# Its name is of its content, so that a change of the template is a change of the stack. A body is limited to 51,200
# bytes, which the template may outgrow.
resource "aws_s3_object" "template" {
  bucket = data.aws_s3_bucket.packages.id
  key    = "${var.name}/${filesha256(var.packaged_template)}.template"
  source = var.packaged_template
}

resource "aws_cloudformation_stack" "sluice" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.packages.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  parameters   = local.parameters
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  tags         = var.tags
}

output "outputs" {
  description = "The stack's outputs, such as StateMachineArn, TableName and EventBusName."
  value       = aws_cloudformation_stack.sluice.outputs
}
