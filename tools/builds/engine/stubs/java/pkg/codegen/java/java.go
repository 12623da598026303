// Package java stands in for Pulumi's Java code generator, of which a provider needs only the options in its schema.
package java

// PackageInfo is what a provider's schema says about its generated Java package.
type PackageInfo struct {
	BuildFiles                      string            `json:"buildFiles,omitempty"`
	GradleNexusPublishPluginVersion string            `json:"gradleNexusPublishPluginVersion,omitempty"`
	Dependencies                    map[string]string `json:"dependencies,omitempty"`
}
