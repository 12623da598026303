// Package codegen stands in for Pulumi's C# code generator, of which a provider needs only the options in its schema.
package codegen

// CSharpPackageInfo is what a provider's schema says about its generated C# package.
type CSharpPackageInfo struct {
	RespectSchemaVersion bool              `json:"respectSchemaVersion,omitempty"`
	PackageReferences    map[string]string `json:"packageReferences,omitempty"`
}
