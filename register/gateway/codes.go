package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// anyCodes are what every operation that asks for a token may answer with.
var anyCodes = []register.ProblemCode{
	register.ProblemCodeInvalid, register.ProblemCodeUnauthorized, register.ProblemCodeForbidden, register.ProblemCodeActorUnknown,
	register.ProblemCodeActorLooksAlike,
	register.ProblemCodeRateLimited, register.ProblemCodeUnavailable, register.ProblemCodeInternal,
}

// open says whether an operation asks for no token.
func open(operation *openapi3.Operation) bool {
	return operation.Security != nil && len(*operation.Security) == 0
}

// codesOf are the codes an operation may answer with: its own, which the contract lists, and those of its kind.
func codesOf(operation *openapi3.Operation) []register.ProblemCode {
	if open(operation) {
		return nil
	}
	var codes []register.ProblemCode
	own, _ := operation.Extensions["x-problem-codes"].([]any)
	for _, code := range own {
		codes = append(codes, register.ProblemCode(fmt.Sprint(code)))
	}
	if operation.Parameters.GetByInAndName(openapi3.ParameterInHeader, "Idempotency-Key") != nil {
		codes = append(codes, register.ProblemCodeIdempotencyMismatch)
	}
	if operation.Parameters.GetByInAndName(openapi3.ParameterInHeader, "If-Match") != nil {
		codes = append(codes, register.ProblemCodePreconditionFailed)
	}
	return append(codes, anyCodes...)
}

// describeCodes says in each operation's description how it may fail, for whoever reads the contract without knowing its extension.
func describeCodes(document *openapi3.T) {
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			if codes := codesOf(operation); len(codes) > 0 {
				operation.Description = strings.TrimSpace(operation.Description + "\n\nErrors: " + coded(codes) + ".")
			}
		}
	}
}

// coded is each code with its status, those of the lowest status first.
func coded(codes []register.ProblemCode) string {
	sorted := slices.Clone(codes)
	slices.SortStableFunc(sorted, func(a, b register.ProblemCode) int { return statuses[a] - statuses[b] })
	words := make([]string, len(sorted))
	for i, code := range sorted {
		words[i] = fmt.Sprintf("`%d %s`", statuses[code], code)
	}
	return strings.Join(words, ", ")
}
