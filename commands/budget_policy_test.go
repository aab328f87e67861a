package commands

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestThePolicyIsUnderstoodAsMeant(t *testing.T) {
	t.Parallel()
	require.Nil(t, understood(t, "budget policy").Mutation)
	set := understood(t, "budget policy --route Drain --sticky no --lowest coder=Sonnet --lowest reviewer=any")
	require.Equal(t, "POST /api/fleet/policy", set.Mutation.Method+" "+set.Mutation.Path)
	require.JSONEq(t, `{"route": "drain", "sticky": false, "lowest": [{"role": "coder", "model": "sonnet"}, {"role": "reviewer", "model": ""}]}`, string(set.Mutation.Body))
	for typed, problem := range map[string]string{
		"budget policy --route drian":    `--route: "drian" is not one of pace and drain. Did you mean drain?`,
		"budget policy --lowest coder":   `--lowest: "coder" is not a role and a model, such as coder=sonnet.`,
		"budget policy --lowest =sonnet": `--lowest: "=sonnet" is not a role and a model, such as coder=sonnet.`,
	} {
		require.Equal(t, problem, misunderstood(t, typed).Problem, typed)
	}
}

func TestWhatEarlierRunsSayIsOneLine(t *testing.T) {
	t.Parallel()
	d := register.Dispatch{ID: "D-12", Role: "coder", BriefClass: "technical", State: register.DispatchStateReady, Model: "opus", ModelRequested: "opus"}
	require.Empty(t, learnedLine(d))
	d.Learned = []register.Expectation{
		{Model: "opus", Unit: "credits", MeanMicros: 4_000_000, UpperMicros: 6_200_000, Runs: 37, Confidence: "high", From: register.ExpectationFromRole},
		{Model: "sonnet", Unit: "credits", MeanMicros: 2_000_000, UpperMicros: 3_000_000, Runs: 3, Confidence: "low", From: register.ExpectationFromModel},
	}
	require.Equal(t, "Estimate: ≈ 4 credits, 9 in 10 under 6.2, from 37 runs of coder on opus (high confidence)", Plain(learnedLine(d)))
	d.Model = "sonnet"
	require.Equal(t, "Estimate: ≈ 2 credits, 9 in 10 under 3, from 3 runs on sonnet (low confidence: few or old runs)", Plain(learnedLine(d)))
	d.Model, d.Estimate = "opus", []register.Amount{{Unit: "credits", Micros: 1_000_000}}
	require.Equal(t, "Earlier runs took ≈ 4 credits, 9 in 10 under 6.2, from 37 runs of coder on opus (high confidence)", Plain(learnedLine(d)), "who gave an estimate sees what runs took")
}

func TestAnAdminSetsThePolicyInARoomAndEveryoneSeesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.PutIdentity("anna", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@anna:localhost", Roles: []register.FleetRole{register.FleetRoleAdmin},
	}), nil)
	b.answered(t, "olga", "budget policy", MoodDone, "route pace", "Every role may be lowered to any model of the ladder")
	b.answered(t, "olga", "budget policy --route drain", MoodRefused, "that takes the role admin")
	b.answered(t, "anna", "budget policy --route drain --lowest coder=sonnet", MoodDone, "route drain", "Work for coder is not lowered below sonnet", "Set by anna")
	b.answered(t, "anna", "budget policy --lowest coder=gpt-99", MoodRefused, `The model "gpt-99" is not in the ladder`)
	b.answered(t, "olga", "budget estimates", MoodDone, "No run was learned from yet.")
}
