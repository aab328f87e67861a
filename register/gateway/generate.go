package gateway

//go:generate go tool -modfile=../../.tools/go.mod oapi-codegen -config oapi-server.yaml ../openapi.yaml
