/** The commands about who owns assets, as program.ts lists all the others. */
import type { Command } from 'commander'
import type { Run } from './program.ts'

export function ownershipCommands(program: Command, run: Run): void {
  const group = 'Own:'
  const assets = program
    .command('assets')
    .helpGroup(group)
    .description('list your assets, register them, and show who owned them')
    .action(run(async () => (await import('./ownership.ts')).assets))
  assets
    .command('register')
    .argument('<asset>')
    .description('have it certified that you own it, by a committee that votes once on each version')
    .option('--ref <name>', 'what you call it; each name is registered once')
    .option('--bought <order>', 'the hand-over by which you bought it')
    .option('--with <partners...>', 'who owns it too: each of them has to sign')
    .option('--needs <n>', 'how many of its owners sign what becomes of it, more than half (all)')
    .action(run(async () => (await import('./ownership.ts')).register))
  assets
    .command('reseat')
    .argument('<asset>')
    .description(
      'let another committee vote on it from here on; or, when a key was stolen, end what older keys sign',
    )
    .option('--committee <id>', 'of those that waybill committee show --assets lists (the one in force)')
    .action(run(async () => (await import('./ownership.ts')).reseat))
  assets
    .command('show')
    .argument('<asset>')
    .description('who owns it')
    .action(run(async () => (await import('./ownership.ts')).owner))
  assets
    .command('history')
    .argument('<asset>')
    .description('every certified step, from its registration on')
    .action(run(async () => (await import('./ownership.ts')).history))
  assets
    .command('disclose')
    .argument('<asset>')
    .description(
      'open what you registered: two of one content convict you, one shows that they are different',
    )
    .requiredOption('-o, --output <file>', 'the file (.waybill)')
    .option('-f, --force', 'overwrite a file that exists')
    .action(run(async () => (await import('./ownership.ts')).disclose))
  program
    .command('owner')
    .argument('<asset>')
    .helpGroup(group)
    .description('say who owns an asset: by the chain that is here, and by what its seats say now')
    .option('--offline', 'ask nobody')
    .option('-o, --output <file>', 'write the evidence there')
    .option('-f, --force', 'overwrite a file that exists')
    .action(run(async () => (await import('./ownership.ts')).owner))
  const handover = program
    .command('handover')
    .argument('[asset]')
    .argument('[partner]', 'id or name')
    .helpGroup(group)
    .description('hand an asset over to a partner, or list hand-overs')
    .option('--committee <id>', 'who votes from then on; needed where the partner has a seat')
    .option('--with <partners...>', 'who is to own it together with the partner')
    .option('--needs <n>', 'how many of them sign what becomes of it then, more than half (all)')
    .option('--wait <duration>', 'how long to wait for the partner', '0')
    .option('--keep-content', 'the content does not pass with it')
    .option('--end-agreements', 'your running agreements about it end with it')
    .action(run(async () => (await import('./ownership.ts')).handover))
  handover
    .command('accept')
    .argument('<order>')
    .description('take over what a partner hands you, or agree to what another owner wrote')
    .option('--mode <mode>', 'take a committee that is weaker than your rule, by its name')
    .action(run(async () => (await import('./ownership.ts')).accept))
  handover
    .command('decline')
    .argument('<order>')
    .description('do not take it')
    .option('--reason <text>', 'what the partner is told', 'declined')
    .action(run(async () => (await import('./ownership.ts')).decline))
  handover
    .command('withdraw')
    .argument('<order>')
    .description('take an offer back that the partner has not answered')
    .action(run(async () => (await import('./ownership.ts')).withdraw))
  program
    .command('certify')
    .argument('<partner>', 'id or name')
    .helpGroup(group)
    .description('take a partner for certified: only such organisations are trusted to vote on assets')
    .option('--off', 'no longer')
    .action(run(async () => (await import('./ownership.ts')).certify))
  program
    .command('control')
    .argument('<orgs...>', 'ids or names of partners, or of this home')
    .helpGroup(group)
    .description(
      'take organisations for one hand: their seats count as one, and not on what one of them owns',
    )
    .option('--off', 'none of them any more')
    .action(run(async () => (await import('./ownership.ts')).control))
}
