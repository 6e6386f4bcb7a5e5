package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nacre/internal/app"
)

func describe() *cobra.Command {
	var format, dataDir, policy string
	var about app.ScheduleQuestion
	c := &cobra.Command{
		Use:   "describe [" + strings.Join(app.Subjects, "|") + "|schedule]",
		Short: "Print the tables that the program runs on",
		Long: `Print the literal tables that the program runs on: its routes, policy rules,
plans, loops and settings. "describe schedule --server ID" asks the running cloud
of the data folder why a server is where it is; "describe schedule --flavor NAME
--count N" whether so many would fit, and where, without making any.`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: append(slices.Clone(app.Subjects), "schedule"),
		RunE: func(c *cobra.Command, args []string) error {
			if format == "yaml" && slices.Equal(args, []string{"config"}) {
				return app.SettingsFile(c.OutOrStdout())
			}
			if format != "text" && format != "json" {
				return fmt.Errorf("there is no format %s: it is text or json, and for config also yaml", format)
			}
			if len(args) == 1 && args[0] == "schedule" {
				return app.DescribeSchedule(c.Context(), c.OutOrStdout(), dataDir, about, format)
			}
			subjects := args
			if len(subjects) == 0 {
				subjects = app.Subjects
			}
			return app.Describe(c.Context(), c.OutOrStdout(), subjects, format, policy)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or json; for config also yaml, a file to start from")
	c.Flags().StringVar(&policy, "policy-file", os.Getenv("NACRE_POLICY_FILE"), "file over the default rules (policy); also NACRE_POLICY_FILE")
	c.Flags().StringVar(&dataDir, "data-dir", "/var/lib/nacre", "data folder of the cloud to ask (schedule)")
	c.Flags().StringVar(&about.Server, "server", "", "id of the server (schedule)")
	c.Flags().StringVar(&about.Flavor, "flavor", "", "id or name of a flavor: would servers of it fit (schedule)")
	c.Flags().IntVar(&about.Count, "count", 1, "how many of them (schedule)")
	c.Flags().StringVar(&about.Image, "image", "", "id of their image (schedule)")
	c.Flags().StringVar(&about.Zone, "zone", "", "their availability zone (schedule)")
	return c
}
