package gateway

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

//go:embed docs.html
var docsTemplate string

var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

// docs is the contract as a page to read. It needs nothing from elsewhere.
func docs(document *openapi3.T) ([]byte, error) {
	page, err := template.New("docs").Funcs(template.FuncMap{"markdown": rendered, "line": renderedLine, "shape": shape, "schemaName": schemaName}).Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("reading the page of the contract: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, struct {
		*openapi3.T
		Groups []docsGroup
		Names  []string
	}{document, docsGroups(document), schemaNames(document)}); err != nil {
		return nil, fmt.Errorf("writing the page of the contract: %w", err)
	}
	return out.Bytes(), nil
}

func servePage(page []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(page)
	}
}

// docsGroup is the operations of one tag.
type docsGroup struct {
	Tag        string
	Operations []docsOperation
}

type docsOperation struct {
	*openapi3.Operation
	Method, Path string
	Parameters   openapi3.Parameters
	Asks         []docsBody
	Answers      []docsBody
}

// docsBody is a request or an answer with its example.
type docsBody struct {
	Status, Description, Media string
	Schema                     *openapi3.SchemaRef
	Example                    string
	Headers                    []string
}

func docsGroups(document *openapi3.T) []docsGroup {
	groups := make([]docsGroup, len(document.Tags))
	for i, tag := range document.Tags {
		groups[i].Tag = tag.Name
	}
	for _, path := range document.Paths.InMatchingOrder() {
		item := document.Paths.Value(path)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			operation := item.GetOperation(method)
			if operation == nil {
				continue
			}
			at := slices.IndexFunc(groups, func(group docsGroup) bool { return slices.Contains(operation.Tags, group.Tag) })
			if at < 0 {
				continue
			}
			groups[at].Operations = append(groups[at].Operations, docsOperation{
				Operation: operation, Method: method, Path: path, Parameters: append(slices.Clone(item.Parameters), operation.Parameters...),
				Asks: asks(operation), Answers: answers(operation),
			})
		}
	}
	for _, group := range groups {
		slices.SortStableFunc(group.Operations, func(a, b docsOperation) int { return strings.Compare(a.Path, b.Path) })
	}
	return groups
}

func asks(operation *openapi3.Operation) []docsBody {
	if operation.RequestBody == nil {
		return nil
	}
	return bodies("", "", operation.RequestBody.Value.Content)
}

func answers(operation *openapi3.Operation) []docsBody {
	var all []docsBody
	statuses := operation.Responses.Map()
	for _, status := range sortedKeys(statuses) {
		response := statuses[status].Value
		if status == "default" {
			continue // how it may fail is said once for all
		}
		description := ""
		if response.Description != nil {
			description = *response.Description
		}
		shown := bodies(status, description, response.Content)
		if len(shown) == 0 {
			shown = []docsBody{{Status: status, Description: description}}
		}
		shown[0].Headers = sortedKeys(response.Headers)
		all = append(all, shown...)
	}
	return all
}

func bodies(status, description string, content openapi3.Content) []docsBody {
	var all []docsBody
	for _, media := range sortedKeys(content) {
		all = append(all, docsBody{Status: status, Description: description, Media: media, Schema: content[media].Schema, Example: exampleOf(content[media])})
	}
	return all
}

// exampleOf is the example of a body as it goes over the wire, in lines.
func exampleOf(media *openapi3.MediaType) string {
	example := media.Example
	for _, name := range sortedKeys(media.Examples) {
		if example == nil {
			example = media.Examples[name].Value.Value
		}
	}
	if text, isText := example.(string); isText {
		return text
	}
	body, err := json.MarshalIndent(example, "", "  ")
	if err != nil || example == nil {
		return ""
	}
	return shortLists.ReplaceAllStringFunc(string(body), func(list string) string { return strings.Join(strings.Fields(list), " ") })
}

// shortLists are lists and objects of plain values, which fit into a line.
var shortLists = regexp.MustCompile(`[\[{][^\[\]{}]{0,100}[\]}]`)

func schemaNames(document *openapi3.T) []string {
	var names []string
	for _, name := range sortedKeys(document.Components.Schemas) {
		if kind := document.Components.Schemas[name].Value; len(kind.Properties) > 0 || len(kind.Enum) > 0 {
			names = append(names, name)
		}
	}
	return names
}

func schemaName(schema *openapi3.SchemaRef) string {
	if schema == nil {
		return ""
	}
	return schema.Ref[strings.LastIndexByte(schema.Ref, '/')+1:]
}

// shape says in a few words what a value may be.
func shape(schema *openapi3.SchemaRef) template.HTML {
	if schema == nil || schema.Value == nil {
		return ""
	}
	if name := schemaName(schema); name != "" && (len(schema.Value.Properties) > 0 || len(schema.Value.Enum) > 0) {
		return template.HTML(fmt.Sprintf(`<a href="#%s">%s</a>`, template.HTMLEscapeString(name), template.HTMLEscapeString(name))) //nolint:gosec // escaped
	}
	value := schema.Value
	if value.Type.Is("array") {
		return "list of " + shape(value.Items)
	}
	words := strings.TrimSpace(strings.Join(append(value.Type.Slice(), value.Format), " "))
	if len(value.Enum) > 0 {
		choices := make([]string, len(value.Enum))
		for i, choice := range value.Enum {
			choices[i] = fmt.Sprint(choice)
		}
		words = strings.Join(choices, ", ")
	}
	if value.Min != nil && value.Max != nil {
		words += fmt.Sprintf(", %s to %s", plain(*value.Min), plain(*value.Max))
	}
	if value.MaxLength != nil {
		words += fmt.Sprintf(", at most %d characters", *value.MaxLength)
	}
	if value.Default != nil {
		words += fmt.Sprintf(", %v unless given", value.Default)
	}
	return template.HTML(template.HTMLEscapeString(words)) //nolint:gosec // escaped
}

// rendered is the contract's own Markdown as HTML.
func rendered(text string) template.HTML {
	var out bytes.Buffer
	if err := markdown.Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped
	}
	return template.HTML(out.String()) //nolint:gosec // goldmark leaves out raw HTML
}

// renderedLine is the same without a paragraph around it.
func renderedLine(text string) template.HTML {
	html := strings.TrimSpace(string(rendered(text)))
	if strings.Count(html, "<p>") == 1 {
		html = strings.TrimSuffix(strings.TrimPrefix(html, "<p>"), "</p>")
	}
	return template.HTML(html) //nolint:gosec // as above
}

func sortedKeys[Value any](of map[string]Value) []string { return slices.Sorted(maps.Keys(of)) }
