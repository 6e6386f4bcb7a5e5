package app

import (
	"nacre/internal/api"
	"nacre/internal/auth"
)

// directoryView is what came of trying the directory of a domain.
type directoryView struct {
	DomainID string        `json:"domain_id"`
	Good     bool          `json:"good"`
	Steps    []findingView `json:"steps"`
}

type findingView struct {
	Step   string `json:"step"`
	Good   bool   `json:"good"`
	Detail string `json:"detail"`
}

// showDirectory tries the directory of a domain step by step: its servers, the
// password to read by, users and groups.
func (cloud *Cloud) showDirectory(c *api.Call) (directoryView, error) {
	v := directoryView{DomainID: c.PathValue("domain_id"), Steps: []findingView{}}
	err := c.Authorize(auth.Target{})
	if err != nil {
		return v, err
	}
	found, err := cloud.identity.DiagnoseDirectory(c.Context(), v.DomainID)
	v.Good = true
	for _, f := range found {
		v.Steps = append(v.Steps, findingView(f))
		v.Good = v.Good && f.Good
	}
	return v, err
}
