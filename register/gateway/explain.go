package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// explain turns a breach of the contract into one sentence about the field that is wrong.
func explain(err error) error {
	p := &problem{Code: register.ProblemCodeInvalid, NextStep: "Correct the request and send it with a new key."}
	var request *openapi3filter.RequestError
	var schema *openapi3.SchemaError
	errors.As(err, &request)
	if errors.As(err, &schema) {
		p.Field = fieldOf(request, schema)
		p.Detail, p.Example = breach(schema, p.Field)
		if request != nil && request.Parameter != nil && (p.Example == "" || schema.SchemaField == "pattern") {
			if own, given := request.Parameter.Example.(string); given {
				p.Example = own
			}
		}
		return p
	}
	switch {
	case request != nil && request.Parameter != nil:
		p.Field = request.Parameter.Name
		p.Detail = fmt.Sprintf("%s is missing or cannot be read.", p.Field)
		p.Example, _ = request.Parameter.Example.(string)
	case request != nil && strings.Contains(request.Reason, "Content-Type"):
		p.Field, p.Detail, p.Example = "Content-Type", "The body must be JSON and say so.", "Content-Type: application/json"
		p.Status = http.StatusUnsupportedMediaType
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		p.Detail = "The body is missing."
	default:
		p.Detail = "The body is not valid JSON."
	}
	return p
}

func fieldOf(request *openapi3filter.RequestError, schema *openapi3.SchemaError) string {
	field := strings.Join(schema.JSONPointer(), ".")
	if request == nil || request.Parameter == nil {
		return field
	}
	if field == "" {
		return request.Parameter.Name
	}
	return request.Parameter.Name + "." + field
}

// breach says what was read, what is accepted, and where it is short an example.
func breach(err *openapi3.SchemaError, field string) (detail, example string) {
	if field == "" {
		field = "The body"
	}
	schema := err.Schema
	switch err.SchemaField {
	case "required":
		if property := schema.Properties[field[strings.LastIndex(field, ".")+1:]]; property != nil {
			return fmt.Sprintf("%s is missing.", field), sample(property.Value)
		}
		return fmt.Sprintf("%s is missing.", field), ""
	case "enum":
		return fmt.Sprintf("%s is %s; it must be one of %s.", field, read(err.Value), list(schema.Enum)), fmt.Sprint(schema.Enum[0])
	case "pattern":
		as := patterns[schema.Pattern]
		return fmt.Sprintf("%s is %s; accepted are %s.", field, read(err.Value), as.words), as.example
	case "minLength":
		if schema.MinLength == 1 {
			return fmt.Sprintf("%s is empty.", field), sample(schema)
		}
		return fmt.Sprintf("%s is too short; it must have at least %d characters.", field, schema.MinLength), ""
	case "maxLength":
		return fmt.Sprintf("%s is too long; it may have at most %d characters.", field, *schema.MaxLength), ""
	case "maxItems":
		return fmt.Sprintf("%s has too many entries; it may have at most %d.", field, *schema.MaxItems), ""
	case "minimum":
		return fmt.Sprintf("%s is %s; the least is %s.", field, read(err.Value), plain(*schema.Min)), plain(*schema.Min)
	case "maximum":
		return fmt.Sprintf("%s is %s; the most is %s.", field, read(err.Value), plain(*schema.Max)), plain(*schema.Max)
	case "format":
		switch schema.Format {
		case "date-time":
			return fmt.Sprintf("%s is %s; it must be an instant with its offset.", field, read(err.Value)), anInstant
		case "int64":
			return fmt.Sprintf("%s does not fit in 64 bits.", field), ""
		}
	}
	return fmt.Sprintf("%s is not accepted: %s.", field, strings.SplitN(err.Reason, "\n", 2)[0]), ""
}

// read quotes a value in a sentence, unless it is long.
func read(value any) string {
	text, err := json.Marshal(value)
	if err != nil || len(text) > 80 {
		return "something else"
	}
	return string(text)
}

func plain(number float64) string { return strconv.FormatFloat(number, 'f', -1, 64) }

func list(values []any) string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = fmt.Sprint(value)
	}
	return strings.Join(names, ", ")
}

// undecodable explains a body that keeps to the contract but does not fit the types, such as an instant that is none.
func undecodable(w http.ResponseWriter, r *http.Request, err error) {
	p := &problem{Code: register.ProblemCodeInvalid, NextStep: "Correct the request and send it with a new key."}
	var mistyped *json.UnmarshalTypeError
	var param *InvalidParamFormatError
	switch {
	case errors.As(err, &mistyped):
		p.Field = mistyped.Field
		p.Detail = fmt.Sprintf("%s is a %s, which does not fit.", mistyped.Field, mistyped.Value)
	case errors.As(err, &param):
		p.Field = param.ParamName
		p.Detail = fmt.Sprintf("%s cannot be read.", param.ParamName)
	default:
		p.Detail = "The body cannot be read."
	}
	answer(w, r, p)
}
