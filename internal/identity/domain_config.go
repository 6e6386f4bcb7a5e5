package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// DomainConfig are settings of the identity backend of one domain: groups of
// options. Clouds of several domains keep there where each has its users.
type DomainConfig map[string]map[string]any

// DomainConfigDefaults are the options that a domain may set and, as Keystone
// has them, what holds where it does not.
var DomainConfigDefaults = DomainConfig{
	"identity": {"driver": "sql", "list_limit": nil},
	"ldap": {
		"url": "ldap://localhost", "user": nil, "suffix": "cn=example,cn=com", "query_scope": "one", "page_size": 0,
		"alias_dereferencing": "default", "debug_level": nil, "chase_referrals": nil, "connection_timeout": -1, "randomize_urls": false,
		"user_tree_dn": nil, "user_filter": nil, "user_objectclass": "inetOrgPerson", "user_id_attribute": "cn",
		"user_name_attribute": "sn", "user_mail_attribute": "mail", "user_description_attribute": "description",
		"user_pass_attribute": "userPassword", "user_enabled_attribute": "enabled", "user_enabled_invert": false,
		"user_enabled_mask": 0, "user_enabled_default": "True", "user_attribute_ignore": []any{"default_project_id"},
		"user_default_project_id_attribute": nil, "user_enabled_emulation": false, "user_enabled_emulation_dn": nil,
		"user_enabled_emulation_use_group_config": false, "user_additional_attribute_mapping": []any{},
		"group_tree_dn": nil, "group_filter": nil, "group_objectclass": "groupOfNames", "group_id_attribute": "cn",
		"group_name_attribute": "ou", "group_members_are_ids": false, "group_member_attribute": "member",
		"group_desc_attribute": "description", "group_attribute_ignore": []any{}, "group_additional_attribute_mapping": []any{},
		"group_ad_nesting": false,
		"tls_cacertfile":   nil, "tls_cacertdir": nil, "use_tls": false, "tls_req_cert": "demand",
		"use_pool": true, "pool_size": 10, "pool_retry_max": 3, "pool_retry_delay": 0.1, "pool_connection_timeout": -1,
		"pool_connection_lifetime": 600, "use_auth_pool": true, "auth_pool_size": 100, "auth_pool_connection_lifetime": 60,
	},
}

// secretOptions are never shown, and sealed in the database.
var secretOptions = map[string][]string{"ldap": {"password"}}

func secretOption(group, option string) bool { return slices.Contains(secretOptions[group], option) }

func badConfig(format string, args ...any) error {
	return errs.Forbiddenf("Invalid domain specific configuration: "+format, args...)
}

// CheckDomainOption refuses groups and options that no domain has. An empty
// option is the whole group, an empty group all.
func CheckDomainOption(group, option string) error {
	if group == "" {
		return nil
	}
	options, exists := DomainConfigDefaults[group]
	if !exists {
		return badConfig("Group %s is not supported for domain specific configurations", group)
	}
	_, known := options[option]
	if option != "" && !known && !secretOption(group, option) {
		return badConfig("Option %s in group %s is not supported for domain specific configurations", option, group)
	}
	return nil
}

func (c DomainConfig) check() error {
	if len(c) == 0 {
		return badConfig("No options specified")
	}
	for group, options := range c {
		if len(options) == 0 {
			return badConfig("The value of group %s specified in the config should be a dictionary of options", group)
		}
		for option := range options {
			err := CheckDomainOption(group, option)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Part is the config cut to a group and an option of it; "" is all.
func (c DomainConfig) Part(group, option string) DomainConfig {
	out := DomainConfig{}
	for g, options := range c {
		for o, value := range options {
			if (group == "" || g == group) && (option == "" || o == option) {
				if out[g] == nil {
					out[g] = map[string]any{}
				}
				out[g][o] = value
			}
		}
	}
	return out
}

func noDomainConfig(domain, group, option string) error {
	what := "any options"
	switch {
	case option != "":
		what = fmt.Sprintf("option %s in group %s", option, group)
	case group != "":
		what = "group " + group
	}
	return errs.NotFoundf("Could not find %s in domain configuration for domain %s.", what, domain)
}

// readDomainConfig reads what a domain has set, secrets with a nil value.
func readDomainConfig(ctx context.Context, tx *db.Tx, domain string) (DomainConfig, error) {
	_, err := readDomain(ctx, tx, domain)
	if err != nil {
		return nil, err
	}
	return readOptions(ctx, tx, domain, func(string, string) (string, error) { return "null", nil })
}

// openDomainConfig reads what a domain has set, with its secrets.
func (s *Service) openDomainConfig(ctx context.Context, tx *db.Tx, domain string) (DomainConfig, error) {
	return readOptions(ctx, tx, domain, s.sealer.Open)
}

// errUnreadable says that what a domain has set is there and cannot be understood.
var errUnreadable = errors.New("cannot read the configuration")

func optionPlace(domain, group, option string) string {
	return "domain " + domain + " " + group + "." + option
}

func readOptions(ctx context.Context, tx *db.Tx, domain string, open func(place, sealed string) (string, error)) (DomainConfig, error) {
	var rows []struct{ OptionGroup, OptionName, Value string }
	err := tx.All(ctx, &rows, `SELECT option_group, option_name, value FROM domain_config WHERE domain_id = ?`, domain)
	if err != nil {
		return nil, fmt.Errorf("read configuration of domain %s: %w", domain, err)
	}
	c := DomainConfig{}
	for _, r := range rows {
		if c[r.OptionGroup] == nil {
			c[r.OptionGroup] = map[string]any{}
		}
		if secretOption(r.OptionGroup, r.OptionName) {
			r.Value, err = open(optionPlace(domain, r.OptionGroup, r.OptionName), r.Value)
		}
		var value any
		if err == nil {
			err = json.Unmarshal([]byte(r.Value), &value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w of domain %s: %w", errUnreadable, domain, err)
		}
		c[r.OptionGroup][r.OptionName] = value
	}
	return c, nil
}

// shown leaves out what is never shown.
func (c DomainConfig) shown() DomainConfig {
	out := DomainConfig{}
	for group, options := range c {
		for option, value := range options {
			if secretOption(group, option) {
				continue
			}
			if out[group] == nil {
				out[group] = map[string]any{}
			}
			out[group][option] = value
		}
	}
	return out
}

// DomainConfig gives what a domain has set; nothing at all is not found.
func (s *Service) DomainConfig(ctx context.Context, domain, group, option string) (DomainConfig, error) {
	err := CheckDomainOption(group, option)
	if err != nil {
		return nil, err
	}
	var c DomainConfig
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		c, err = readDomainConfig(ctx, tx, domain)
		return err
	})
	if err != nil {
		return nil, err
	}
	c = c.shown().Part(group, option)
	if len(c) == 0 {
		return nil, noDomainConfig(domain, group, option)
	}
	return c, nil
}

// SetDomainConfig replaces all that a domain has set, and tells whether it had
// set nothing.
func (s *Service) SetDomainConfig(ctx context.Context, domain string, c DomainConfig) (fresh bool, err error) {
	err = c.check()
	if err != nil {
		return false, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		before, err := readDomainConfig(ctx, tx, domain)
		if err != nil {
			return err
		}
		fresh = len(before) == 0
		_, err = tx.Exec(ctx, `DELETE FROM domain_config WHERE domain_id = ?`, domain)
		if err != nil {
			return err
		}
		return s.writeDomainConfig(ctx, tx, domain, c)
	})
	if err != nil {
		return false, fmt.Errorf("set configuration of domain %s: %w", domain, err)
	}
	return fresh, nil
}

// configChanged refuses a directory that cannot be, and lets every server notice
// the change.
func (s *Service) configChanged(ctx context.Context, tx *db.Tx, domain string) error {
	c, err := s.openDomainConfig(ctx, tx, domain)
	if err != nil {
		return err
	}
	if c["identity"]["driver"] == driverLDAP {
		_, err = c.directory()
		if err != nil {
			return badConfig("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	_, err = s.bump(ctx, tx)
	return err
}

func (s *Service) writeDomainConfig(ctx context.Context, tx *db.Tx, domain string, c DomainConfig) error {
	for group, options := range c {
		for option, value := range options {
			text, err := json.Marshal(value)
			if err != nil {
				return err
			}
			if secretOption(group, option) {
				text = []byte(s.sealer.Seal(optionPlace(domain, group, option), string(text)))
			}
			_, err = tx.Exec(ctx, `
				INSERT INTO domain_config (domain_id, option_group, option_name, value) VALUES (?, ?, ?, ?)
				ON CONFLICT (domain_id, option_group, option_name) DO UPDATE SET value = excluded.value`, domain, group, option, string(text))
			if err != nil {
				return err
			}
		}
	}
	return s.configChanged(ctx, tx, domain)
}

// UpdateDomainConfig lays options over those that a domain has set. With a group
// or an option only that one is changed, and it must be there.
func (s *Service) UpdateDomainConfig(ctx context.Context, domain, group, option string, c DomainConfig) (DomainConfig, error) {
	err := c.check()
	if err != nil {
		return nil, err
	}
	err = CheckDomainOption(group, option)
	if err != nil {
		return nil, err
	}
	if group != "" && (len(c) != 1 || c[group] == nil) {
		return nil, badConfig("Trying to update group %s, so that, and only that, group must be specified in the config", group)
	}
	if option != "" {
		_, named := c[group][option]
		if len(c[group]) != 1 || !named {
			return nil, badConfig("Trying to update option %s in group %s, so that, and only that, option must be specified in the config", option, group)
		}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		before, err := readDomainConfig(ctx, tx, domain)
		if err != nil {
			return err
		}
		if group != "" && len(before.Part(group, option)) == 0 {
			return noDomainConfig(domain, group, option)
		}
		return s.writeDomainConfig(ctx, tx, domain, c)
	})
	if err != nil {
		return nil, fmt.Errorf("update configuration of domain %s: %w", domain, err)
	}
	return s.DomainConfig(ctx, domain, "", "")
}

// DeleteDomainConfig forgets what a domain has set.
func (s *Service) DeleteDomainConfig(ctx context.Context, domain, group, option string) error {
	err := CheckDomainOption(group, option)
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		before, err := readDomainConfig(ctx, tx, domain)
		if err != nil {
			return err
		}
		if group != "" && len(before.Part(group, option)) == 0 {
			return noDomainConfig(domain, group, option)
		}
		_, err = tx.Exec(ctx, `DELETE FROM domain_config WHERE domain_id = ? AND (? = '' OR option_group = ?) AND (? = '' OR option_name = ?)`,
			domain, group, group, option, option)
		if err != nil {
			return err
		}
		return s.configChanged(ctx, tx, domain)
	})
	if err != nil {
		return fmt.Errorf("delete configuration of domain %s: %w", domain, err)
	}
	return nil
}
