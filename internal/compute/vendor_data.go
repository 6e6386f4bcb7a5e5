package compute

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/compute/vendordata"
	"nacre/internal/db"
)

// Since when the two files of vendor data are there.
const (
	vendorSince  = "2013-10-17"
	vendor2Since = "2016-10-06"
)

// vendorData2 is what stands under the names: static data, and who was asked.
func (d instanceData) vendorData2() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	maps.Copy(out, d.secrets.VendorData.V)
	out[vendordata.StaticName] = d.static
	return out
}

// wantsVendorData tells whether a path of the metadata service, in parts, is that of
// what the operator's services say.
func wantsVendorData(parts []string) bool {
	return len(parts) == 3 && parts[0] == "openstack" && slices.Contains(ourVersions, parts[1]) && parts[1] >= vendor2Since &&
		parts[2] == "vendor_data2.json"
}

// askVendorData asks the operator's services about a server.
func (s *Service) askVendorData(ctx context.Context, server Server, secret secrets) (vendordata.Answers, error) {
	q := vendordata.Question{
		Project: server.Project, Instance: server.ID, Image: server.Image, Hostname: server.Hostname, Metadata: server.Metadata.V, Roles: secret.BootRoles,
	}
	if secret.UserData != "" {
		q.UserData = &secret.UserData
	}
	if q.Metadata == nil {
		q.Metadata = map[string]string{}
	}
	return s.vendor.Ask(ctx, q)
}

// keepVendorData asks what a server's config drive is to say, unless that is known:
// the drive is made within transactions, again and again, and says the same until the
// server is rebuilt.
func (s *Service) keepVendorData(ctx context.Context, id string) error {
	if !s.vendor.Asks() {
		return nil
	}
	var server Server
	var secret secrets
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, "", id)
		if err != nil || !server.ConfigDrive {
			return err
		}
		secret, err = secretsOf(ctx, tx, id)
		return err
	})
	if err != nil || !server.ConfigDrive || secret.VendorData.V != nil {
		return err
	}
	secret.VendorData.V, err = s.askVendorData(ctx, server, secret)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Update(ctx, &secret, "vendor_data")
		if err != nil {
			return fmt.Errorf("write vendor data of server %s: %w", id, err)
		}
		return nil
	})
}
