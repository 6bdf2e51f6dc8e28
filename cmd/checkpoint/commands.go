package main

import "github.com/spf13/cobra"

// commands are all commands, in the order of the README.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(a),
		newRunCommand(a),
		newScanCommand(a),
		newExplainCommand(a),
		newReadCommand(a),
		newTrustCommand(a),
		newEnrollCommand(a),
		newStickCommand(a),
		newDoctorCommand(a),
		newPINCommand(a),
	}
}
