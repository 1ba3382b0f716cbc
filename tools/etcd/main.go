// The etcd server. Its own main package is in a module that cannot be required (it replaces its siblings by paths).
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
