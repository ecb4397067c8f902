/** Every command with its arguments and options. What a command does stands in a file of its group, loaded when it runs. */
import { Command, Option } from 'commander'
import { resolveHome } from '../home.ts'
import { type Answer, Cli, type GlobalOptions } from './cli.ts'
import { ownershipCommands } from './program-ownership.ts'

/** What a command does with its options and arguments; commander has checked their number and choices. */
// biome-ignore lint/suspicious/noExplicitAny: each action names the options that its command declares below.
export type Action = (cli: Cli, options: any, ...args: any[]) => Promise<Answer | undefined>
type Load = () => Promise<Action>

/** The program; `started` hears of the run once its options are known. */
export function build(signal: AbortSignal, started: (cli: Cli) => void): Command {
  const run =
    (load: Load) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given.at(-1) as Command
      const options = command.optsWithGlobals<GlobalOptions>()
      const cli = new Cli(options, resolveHome(options.home), signal)
      started(cli)
      const action = await load()
      const made = await action(cli, options, ...given.slice(0, -2))
      if (made) cli.give(made)
    }
  const program = new Command('waybill')
    .description('Share data under usage agreements signed by both sides; evidence verifies offline.')
    .option('--home <dir>', 'folder of this node (or WAYBILL_HOME)')
    .option('--json', 'answer with one JSON document')
    .option('-q, --quiet', 'no hints and no progress')
    .option('--no-input', 'never ask')
    .option('-y, --yes', 'answer questions with yes')
    .addOption(new Option('--color <when>', 'colour').choices(['auto', 'always', 'never']).default('auto'))
    .version('0.0.1')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .showSuggestionAfterError()
  nodeCommands(program, run)
  partnerCommands(program, run)
  committeeCommands(program, run)
  mirrorCommands(program, run)
  ownershipCommands(program, run)
  shareCommands(program, run)
  receiveCommands(program, run)
  evidenceCommands(program, run)
  planningCommands(program, run)
  return program
}

export type Run = (load: Load) => (...given: unknown[]) => Promise<void>

function nodeCommands(program: Command, run: Run): void {
  const group = 'Node:'
  program
    .command('init')
    .helpGroup(group)
    .description('make the keys and the identity of a home')
    .option('--name <name>', 'name of your organisation')
    .option('--unattended', 'no passphrase: the keys are protected by file permissions alone')
    .option('--passphrase-file <file>', 'file with the passphrase of the keys (or WAYBILL_PASSPHRASE)')
    .action(run(async () => (await import('./node.ts')).init))
  program
    .command('up')
    .helpGroup(group)
    .description('run the daemon')
    .option('--name <name>', 'name of your organisation, for a new home')
    .option('-d, --detach', 'run in the background')
    .option('--listen <multiaddr...>', 'where partners reach this node')
    .option('--api <port>', 'port of the local API')
    .option('--passphrase-file <file>', 'file with the passphrase of the keys (or WAYBILL_PASSPHRASE)')
    .action(run(async () => (await import('./node.ts')).up))
  program
    .command('down')
    .helpGroup(group)
    .description('stop the daemon')
    .action(run(async () => (await import('./node.ts')).down))
  program
    .command('status')
    .helpGroup(group)
    .description('say how the node is')
    .action(run(async () => (await import('./node.ts')).status))
  program
    .command('backup')
    .argument('<file>')
    .helpGroup(group)
    .description('write the home into one encrypted file, while the daemon runs')
    .option('--recipient <key>', 'who can open it (age1…); without it, whoever knows a passphrase')
    .option('--passphrase-file <file>', 'the passphrase, in its first line')
    .action(run(async () => (await import('./backup.ts')).backup))
  program
    .command('restore')
    .argument('[file]')
    .helpGroup(group)
    .description('make a home of a backup, or say that this home was moved')
    .option('--identity <file>', 'the key of the recipient, as age-keygen writes it')
    .option('--passphrase-file <file>', 'the passphrase, in its first line')
    .option('--moved', 'this home was moved and is not a copy: its log goes on')
    .action(run(async () => (await import('./backup.ts')).restore))
  const log = program
    .command('log')
    .helpGroup(group)
    .description('list the newest entries of the provenance log')
    .option('--limit <n>', 'how many', '20')
    .action(run(async () => (await import('./node.ts')).log))
  log
    .command('succeed')
    .description('close the log, as after a fork, and go on with the next one')
    .action(run(async () => (await import('./keys.ts')).succeed))
  log
    .command('recover')
    .description('take the entries that a home which was put back lacks from the mirrors of its log')
    .action(run(async () => (await import('./keys.ts')).recover))
  keyCommands(program, run, group)
  program
    .command('paths')
    .helpGroup(group)
    .description('say where things are')
    .action(run(async () => (await import('./node.ts')).paths))
  program
    .command('explain')
    .argument('[code]')
    .helpGroup(group)
    .description('say what an error code means')
    .action(run(async () => (await import('./explain.ts')).explain))
}

function keyCommands(program: Command, run: Run, group: string): void {
  const keys = program
    .command('keys')
    .helpGroup(group)
    .description('show, rotate, delegate and revoke the keys of this organisation')
  keys
    .command('show')
    .description('every key that stands or stood')
    .action(run(async () => (await import('./keys.ts')).show))
  keys
    .command('rotate')
    .argument('<role...>', 'root, admin, log, operation, witness, node')
    .description('put new keys in their place')
    .option('--root <directory>', 'where root.age lies, if it was moved (for root and admin)')
    .action(run(async () => (await import('./keys.ts')).rotate))
  keys
    .command('delegate')
    .argument('<role...>', 'log, operation, witness, node')
    .description('delegate new keys for a time')
    .option('--for <duration>', 'how long they live', '1095d')
    .action(run(async () => (await import('./keys.ts')).delegate))
  keys
    .command('revoke')
    .argument('<key...>', 'a role, for the key that stands, or a thumbprint')
    .description('revoke keys that may be in other hands; those that stand get a successor')
    .action(run(async () => (await import('./keys.ts')).revoke))
  keys
    .command('adopt')
    .description('take the events of this identity that partners know and a restored home lacks')
    .action(run(async () => (await import('./keys.ts')).adopt))
}

function partnerCommands(program: Command, run: Run): void {
  const group = 'Partners:'
  program
    .command('invite')
    .helpGroup(group)
    .description('make a ticket that pairs a partner with you')
    .option('--for <name>', 'whom it is for', '')
    .option('--expires <duration>', 'how long it works', '1h')
    .action(run(async () => (await import('./partners.ts')).invite))
  program
    .command('join')
    .argument('<ticket>')
    .helpGroup(group)
    .description('pair with the partner who made a ticket')
    .action(run(async () => (await import('./partners.ts')).join))
  program
    .command('partners')
    .helpGroup(group)
    .description('list partners')
    .action(run(async () => (await import('./partners.ts')).partners))
  const witness = program
    .command('witness')
    .helpGroup(group)
    .description('let partners witness your log, and witness logs of other kinds')
  witness
    .command('add')
    .argument('<partner>', 'id or name')
    .description('name a partner as a witness of your log')
    .action(run(async () => (await import('./partners.ts')).addWitness))
  witness
    .command('serve')
    .argument('[host:port]')
    .description('witness logs of other kinds over HTTP (C2SP tlog-witness)')
    .option('--off', 'end it')
    .action(run(async () => (await import('./witness.ts')).serve))
  witness
    .command('accept')
    .argument('<origin>', 'first line of its checkpoints')
    .argument('<key>', 'its verifier key: name+id+base64')
    .description('enter a log of another kind to be witnessed')
    .action(run(async () => (await import('./witness.ts')).accept))
  witness
    .command('ask')
    .argument('<url or name>', 'where its add-checkpoint is; with --off the name of its key')
    .argument('[key]', 'its verifier key: name+id+base64')
    .description('let any C2SP witness over HTTP cosign your log too; it counts toward no quorum')
    .option('--off', 'ask it no longer')
    .action(run(async () => (await import('./witness.ts')).ask))
  witness
    .command('show')
    .description('what is witnessed over HTTP, and under which key')
    .action(run(async () => (await import('./witness.ts')).show))
}

function mirrorCommands(program: Command, run: Run): void {
  const mirror = program
    .command('mirror')
    .helpGroup('Partners:')
    .description('let partners keep the entries of your log; they are commitments, not content')
  mirror
    .command('add')
    .argument('<partner>', 'id or name')
    .description('name a partner that keeps them')
    .action(run(async () => (await import('./mirror.ts')).add))
  mirror
    .command('open')
    .description('let anybody who reaches your HTTP witness read them (C2SP tlog-tiles)')
    .option('--off', 'end it')
    .action(run(async () => (await import('./mirror.ts')).open))
  mirror
    .command('show')
    .description('who keeps your log, and whose logs you keep')
    .action(run(async () => (await import('./mirror.ts')).show))
}

function committeeCommands(program: Command, run: Run): void {
  const committee = program
    .command('committee')
    .helpGroup('Partners:')
    .description(
      'who promises and cosigns the heads of your log, or with --assets votes on who owns your assets',
    )
  committee
    .command('create')
    .argument('[partner...]', 'ids or names of all who are to sit in it')
    .description('ask partners to sit in it, in place of those who do')
    .option('--assets', 'a committee that votes on who owns assets; without partners nobody votes')
    .option('--lying <f>', 'how many of them may lie, where the usual rule is not meant')
    .option('--quorum <q>', 'how many promise and cosign a head')
    .option('--replaces <id>', 'with --assets: the committee whose place it takes')
    .action(run(async () => (await import('./committee.ts')).create))
  committee
    .command('sign')
    .argument('<partner>', 'id or name')
    .description("take the seat in a partner's committee that it asks you for")
    .option('--assets', 'the seats that vote on its assets')
    .action(run(async () => (await import('./committee.ts')).sign))
  committee
    .command('show')
    .description('who sits in it, and whom it waits for')
    .option('--assets', 'the committees that vote on assets')
    .action(run(async () => (await import('./committee.ts')).show))
}

function shareCommands(program: Command, run: Run): void {
  const group = 'Share:'
  program
    .command('publish')
    .argument('<file...>')
    .helpGroup(group)
    .description('publish files as one asset; nobody sees it before you offer it')
    .option('--title <title>', 'what it is')
    .option('--domain <domain>', 'domain of its classification', 'general')
    .addOption(
      new Option('--level <level>', 'level of its classification')
        .choices(['general', 'important', 'core'])
        .default('general'),
    )
    .option('-r, --recursive', 'directories with everything in them')
    .option('--committee <id>', 'who votes on who owns it: without one it is never registered')
    .action(run(async () => (await import('./share.ts')).publish))
  program
    .command('offer')
    .argument('<asset>')
    .helpGroup(group)
    .description('offer an asset on terms')
    .option('--to <partner...>', 'partners who see it; without it, all of them')
    .option('--allow <action...>', 'what they may do with it', ['use'])
    .option('--purpose <purpose...>', 'for what; without it, for anything')
    .option('--until <date>', 'when the terms end: a date, or a time from now such as 90d', '365d')
    .option('--no-redistribution', 'they may not pass it on')
    .option('--auto', 'agree to whoever fits the terms, without asking you')
    .option('--dry-run', 'say what would be offered, and do nothing')
    .action(run(async () => (await import('./share.ts')).offer))
  program
    .command('offers')
    .helpGroup(group)
    .description('list what partners offer you')
    .option('--own', 'list what you offer')
    .action(run(async () => (await import('./share.ts')).offers))
  program
    .command('requests')
    .argument('[id]')
    .helpGroup(group)
    .description('list requests, or show one')
    .action(run(async () => (await import('./requests.ts')).requests))
  program
    .command('approve')
    .argument('<id>')
    .helpGroup(group)
    .description('sign the agreement that a partner asks for')
    .action(run(async () => (await import('./requests.ts')).approve))
  program
    .command('deny')
    .argument('<id>')
    .helpGroup(group)
    .description('refuse a request')
    .option('--reason <text>', 'what the partner is told')
    .action(run(async () => (await import('./requests.ts')).deny))
  program
    .command('withdraw')
    .argument('<id>')
    .helpGroup(group)
    .description('take an approval back, as long as the partner has not signed')
    .option('--reason <text>', 'what the partner is told')
    .action(run(async () => (await import('./requests.ts')).withdraw))
  program
    .command('redact')
    .argument('<record>')
    .helpGroup(group)
    .description('destroy what a record says, for ever; its log entry stays provable')
    .requiredOption('--reason <text>', 'why: it is logged and shown wherever the record is missing')
    .action(run(async () => (await import('./redact.ts')).redact))
}

function receiveCommands(program: Command, run: Run): void {
  program
    .command('get')
    .argument('<offer>')
    .helpGroup('Receive:')
    .description('agree to an offer, receive its content, and keep the evidence beside it')
    .requiredOption('-o, --output <path>', 'file, or directory with a / at its end')
    .option('--purpose <purpose>', 'what you need it for')
    .option('--action <action>', 'what you will do with it')
    .option('--wait <duration>', 'how long to wait', '5m')
    .option('-f, --force', 'overwrite files that exist')
    .action(run(async () => (await import('./get.ts')).get))
}

function evidenceCommands(program: Command, run: Run): void {
  const group = 'Evidence:'
  program
    .command('forks')
    .helpGroup(group)
    .description('list logs and identities that are proven to have two histories, or check such a proof')
    .option('-o, --output <directory>', 'write the proofs there')
    .option('--check <file>', 'say what a proof proves; needs no node')
    .option('--trust <file>', 'with --check: whom to believe; without it, the trust file of the home')
    .action(run(async () => (await import('./forks.ts')).forks))
  program
    .command('prove')
    .argument('[record...]', 'ids of records in your log')
    .helpGroup(group)
    .description('write a proof that your log holds a record (C2SP tlog-proof), or check one')
    .option('-o, --output <path>', 'a .tlog-proof file, or a directory')
    .option('--show <record...>', 'those whose body is shown; of the others the proof has the commitment')
    .option('-f, --force', 'overwrite files that exist')
    .option('--check <file>', 'say what a proof proves; needs no node')
    .option('--trust <file>', 'whom to believe; without it, the trust file of the home')
    .option('--require-final', 'with --check: a head that is not final proves nothing')
    .action(run(async () => (await import('./prove.ts')).prove))
  program
    .command('audit')
    .argument('[log]', 'id or name of a partner; without it your own log')
    .helpGroup(group)
    .description('re-check a whole log: every entry, every head, every cosignature')
    .option('--url <url>', 'where its owner serves it, instead of the copy that is here')
    .option('-o, --output <file>', 'write the proof of a fork there')
    .action(run(async () => (await import('./audit.ts')).audit))
  program
    .command('evidence')
    .helpGroup(group)
    .description('keep what evidence proves')
    .command('renew')
    .argument('<file>')
    .description('put newer heads into it, before or after the keys under it end')
    .requiredOption('-o, --output <file>', 'where to write the renewed evidence')
    .option('-f, --force', 'overwrite a file that exists')
    .action(run(async () => (await import('./renew.ts')).renew))
  program
    .command('receipts')
    .helpGroup(group)
    .description('list usage consents and deliveries')
    .option('--consents', 'only consents')
    .option('--deliveries', 'only deliveries')
    .option('--export <path>', 'write the evidence of each, to a directory or a .waybill file')
    .option('-f, --force', 'overwrite files that exist')
    .action(run(async () => (await import('./receipts.ts')).receipts))
  program
    .command('export')
    .argument('<agreement>')
    .argument('[packet]')
    .helpGroup(group)
    .description('write evidence of an agreement, or of one delivery under it')
    .requiredOption('-o, --output <file>', 'the file')
    .option('-f, --force', 'overwrite a file that exists')
    .action(run(async () => (await import('./receipts.ts')).exportEvidence))
  program
    .command('verify')
    .argument('<file...>', 'content with its FILE.waybill beside it, or a .waybill file alone')
    .helpGroup(group)
    .description('verify evidence, offline')
    .option('--trust <file>', 'whom to believe; without it, the trust file of the home')
    .option('--as-of <time>', 'the time at which the question is asked')
    .option('--require-final', 'log entries must be final')
    .option('--forks <file...>', 'fork proofs that are known, beside those of the home')
    .option('--twice <file>', 'two disclosed registrations of one content: write the proof there')
    .action(run(async () => (await import('./verify.ts')).verify))
  program
    .command('trust')
    .helpGroup(group)
    .description('print the trust file of the home')
    .action(run(async () => (await import('./verify.ts')).trust))
}

function planningCommands(program: Command, run: Run): void {
  program
    .command('sim')
    .argument('[gear]', 'scale: extrapolate to a mesh that is too large to be simulated')
    .helpGroup('Planning:')
    .description('simulate a mesh of many participants; needs no home')
    .option('--nodes <n>', 'participants; left out only with a topology from a file')
    .option('--minutes <m>', 'virtual minutes (10)')
    .option('--topology <name>', 'automotive, steel, city, random, or a file (random)')
    .option('--workload <name>', 'a name or a file (default); a wrong name lists them')
    .option('--seed <s>', 'the same seed, the same run; drawn and printed when left out')
    .option('--profile <file>', 'what work costs on a machine')
    .option('--latency <file>', 'a matrix of measured delays, in place of those between regions')
    .option('--unit <unit>', 'of that matrix: one-way-ms, rtt-ms or rtt-s (one-way-ms)')
    .option('--sizes <a,b,c>', 'of scale: the meshes that are simulated (50,100,200,400,800)')
    .option('--signatures <how>', 'charged or real (charged)')
    .option('--report <file>', 'write an HTML report')
    .action(run(async () => (await import('./sim.ts')).sim))
}
