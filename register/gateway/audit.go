package gateway

import "context"

const defaultAuditPage = 200

func auditPage(limit *int) int {
	if given(limit) == 0 {
		return defaultAuditPage
	}
	return *limit
}

// ListAuditEntries reads the audit, however old.
func (o *operations) ListAuditEntries(ctx context.Context, request ListAuditEntriesRequestObject) (ListAuditEntriesResponseObject, error) {
	page, err := o.store.AuditEntries(ctx, given(request.Params.After), auditPage(request.Params.Limit))
	return answered[ListAuditEntries200JSONResponse](page, err)
}

// ListAuditSeals reads the chain over it.
func (o *operations) ListAuditSeals(ctx context.Context, request ListAuditSealsRequestObject) (ListAuditSealsResponseObject, error) {
	page, err := o.store.AuditSeals(ctx, given(request.Params.After), auditPage(request.Params.Limit))
	return answered[ListAuditSeals200JSONResponse](page, err)
}

// GetAuditHead says where the chain ends.
func (o *operations) GetAuditHead(ctx context.Context, _ GetAuditHeadRequestObject) (GetAuditHeadResponseObject, error) {
	head, err := o.store.AuditHead(ctx)
	return answered[GetAuditHead200JSONResponse](head, err)
}
