package main

import (
	"context"

	"k8s.io/klog/v2"

	"github.com/cert-manager/cert-manager/internal/apis/config/shared"
	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
)

const (
	webhookName = "cert-manager-webhook"
	// Where the webhook keeps the authority that it makes for itself; the CA injector reads it there.
	webhookSecret = "cert-manager-webhook-ca"
)

func runWebhook(ctx context.Context) error {
	server, err := webhook.NewCertManagerWebhookServer(klog.FromContext(ctx), config.WebhookConfiguration{
		SecurePort:           10250,
		HealthzPort:          6080,
		MetricsListenAddress: "0.0.0.0:9402",
		TLSConfig: shared.TLSConfig{Dynamic: shared.DynamicServingConfig{
			SecretNamespace: namespace(),
			SecretName:      webhookSecret,
			DNSNames:        []string{webhookName, webhookName + "." + namespace(), webhookName + "." + namespace() + ".svc"},
		}},
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
