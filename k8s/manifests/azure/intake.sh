#!/bin/bash
# What the intake needs in Azure, once (docs/intake.md): queues, a subscription, two identities and their roles. It
# needs the names of docs/deploy.md (once for each cluster), and prints what the first deployment must be given:
#
#   GROUP=tosia CLUSTER=tosia ACCOUNT=tosiastore COSMOS=tosia-records CONTAINER=calls bash k8s/manifests/azure/intake.sh
set -euo pipefail
for name in GROUP CLUSTER ACCOUNT COSMOS CONTAINER; do
  : "${!name:?is missing: docs/deploy.md, once for each cluster}"
done
QUEUE=${INTAKE_QUEUE:-calls-landed}
STORE=$(az storage account show --name "$ACCOUNT" --query id --output tsv)
QUEUES=$STORE/queueServices/default/queues
ISSUER=$(az aks show --resource-group "$GROUP" --name "$CLUSTER" --query oidcIssuerProfile.issuerUrl --output tsv)

az storage queue create --account-name "$ACCOUNT" --auth-mode login --name "$QUEUE"
az storage queue create --account-name "$ACCOUNT" --auth-mode login --name "$QUEUE-poison"
az eventgrid event-subscription create --name "$QUEUE" --source-resource-id "$STORE" \
  --included-event-types Microsoft.Storage.BlobCreated \
  --subject-begins-with "/blobServices/default/containers/$CONTAINER/" \
  --event-delivery-schema cloudeventschemav1_0 \
  --endpoint-type storagequeue --endpoint "$STORE/queueservices/default/queues/$QUEUE"

identity() { # name, whose tokens it is for
  az identity create --resource-group "$GROUP" --name "$1"
  az identity federated-credential create --resource-group "$GROUP" --identity-name "$1" --name "$1" \
    --issuer "$ISSUER" --subject "system:serviceaccount:$2" --audience api://AzureADTokenExchange
}
of() { # a field of an identity
  az identity show --resource-group "$GROUP" --name "$1" --query "$2" --output tsv
}
grant() { # identity, role, scope
  az role assignment create --role "$2" --scope "$3" \
    --assignee-object-id "$(of "$1" principalId)" --assignee-principal-type ServicePrincipal
}
identity intake tosia:intake
identity intake-scaler kube-system:keda-operator

# Only this role may change a message (messages/write), which keeps it hidden while it is in work and counts failures.
# On the poison queue, too: --retry takes messages out of it.
grant intake "Storage Queue Data Contributor" "$QUEUES/$QUEUE"
grant intake "Storage Queue Data Contributor" "$QUEUES/$QUEUE-poison"
# It reads recordings, and erases those of erased calls.
grant intake "Storage Blob Data Contributor" "$STORE/blobServices/default/containers/$CONTAINER"
# KEDA counts.
grant intake-scaler "Storage Queue Data Reader" "$QUEUES/$QUEUE"
az cosmosdb sql role assignment create --resource-group "$GROUP" --account-name "$COSMOS" --scope / \
  --role-definition-id 00000000-0000-0000-0000-000000000002 --principal-id "$(of intake principalId)"

echo "export INTAKE_CLIENT_ID=$(of intake clientId) INTAKE_SCALER_CLIENT_ID=$(of intake-scaler clientId)"
