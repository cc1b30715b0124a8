// cert-manager's three parts in one binary: `cert-manager controller|webhook|cainjector`.
//
// Each runs as one replica, so none of them elects a leader.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

var parts = map[string]func(context.Context) error{
	"controller": runController,
	"webhook":    runWebhook,
	"cainjector": runInjector,
}

func main() {
	if len(os.Args) != 2 || parts[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: cert-manager controller|webhook|cainjector")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctrllog.SetLogger(klog.Background())
	err := parts[os.Args[1]](klog.NewContext(ctx, klog.Background()))
	klog.Flush()
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "cert-manager %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// namespace is that of the pod, handed in by the downward API.
func namespace() string {
	if name := os.Getenv("POD_NAMESPACE"); name != "" {
		return name
	}
	return "cert-manager"
}
