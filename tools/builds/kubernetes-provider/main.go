// The Kubernetes provider of Pulumi. Its own command embeds a generated schema that its module lacks; resources
// are registered without one (only documentation and YAML programs ask for it), so this command serves an empty schema.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// version is set by the linker to the version that the module's name stands for.
var version string

func main() {
	provider.Serve("kubernetes", version, []byte("{}"), nil)
}
