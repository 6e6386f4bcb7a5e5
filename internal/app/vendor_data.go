package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"nacre/internal/compute/vendordata"
)

// VendorData is what guests are told by the operator, named as Nova's settings.
type VendorData struct {
	// File has static data, in JSON; "" is none.
	File string `koanf:"vendordata_jsonfile_path"`
	// Targets are the services that are asked for dynamic data: name@url, with
	// commas between them.
	Targets string `koanf:"vendordata_dynamic_targets"`
	// CertFile has the authorities of the services' certificates, in PEM; "" is
	// those that this machine trusts.
	CertFile string `koanf:"vendordata_dynamic_ssl_certfile"`
	// ConnectTimeout and ReadTimeout are seconds; 0 is 5.
	ConnectTimeout int `koanf:"vendordata_dynamic_connect_timeout"`
	ReadTimeout    int `koanf:"vendordata_dynamic_read_timeout"`
	// Fatal is whether a service that does not answer fails what asks it.
	Fatal bool `koanf:"vendordata_dynamic_failure_fatal"`
}

// source reads what the settings name. Wrong ones are refused at start.
func (v VendorData) source(log *slog.Logger) (*vendordata.Source, error) {
	o := vendordata.Options{
		Connect: time.Duration(v.ConnectTimeout) * time.Second, Read: time.Duration(v.ReadTimeout) * time.Second,
		Fatal: v.Fatal, Log: log,
	}
	if v.ConnectTimeout < 0 || v.ReadTimeout < 0 {
		return nil, errors.New("settings vendordata_dynamic_connect_timeout and vendordata_dynamic_read_timeout: a time is not below 0")
	}
	var err error
	o.Targets, err = vendordata.ParseTargets(list(v.Targets))
	if err != nil {
		return nil, fmt.Errorf("setting vendordata_dynamic_targets: %w", err)
	}
	if v.File != "" {
		text, err := os.ReadFile(v.File)
		if err == nil {
			o.Static, err = vendordata.Check(text)
		}
		if err != nil {
			return nil, fmt.Errorf("setting vendordata_jsonfile_path: %s: %w", v.File, err)
		}
	}
	if v.CertFile != "" {
		text, err := os.ReadFile(v.CertFile)
		if err != nil {
			return nil, fmt.Errorf("setting vendordata_dynamic_ssl_certfile: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("setting vendordata_dynamic_ssl_certfile: %s holds no certificate", v.CertFile)
		}
	}
	return vendordata.New(o), nil
}
