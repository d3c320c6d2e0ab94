// An independent A2A client, the JavaScript SDK, against `holdfast serve`, once over each binding that the card lists.
// node client.mjs http://127.0.0.1:8420 prints a table and ends with 1 if anything was not as it has to be.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

import { ListTasksRequest, SendMessageRequest, TaskState } from '@a2a-js/sdk';
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc';
import { TaskNotCancelableError, TaskNotFoundError } from '@a2a-js/sdk/errors';

const PAUSE = 'urn:holdfast:a2a:pause-resume:v1';
const SECONDS = 30;
const url = process.argv[2];
const transports = [new JsonRpcTransportFactory(), new RestTransportFactory(), new GrpcTransportFactory()];

const nap = (id, seconds, ...dependencies) => ({ id, type: 'sleep', params: { seconds }, dependencies });
const plan = (...subtasks) => [{ data: { plan: { subtasks }, options: { workers: 1 } }, mediaType: 'application/json' }];
const message = (parts, fields = {}) => ({ messageId: randomUUID(), role: 'ROLE_USER', parts, ...fields });
const request = (said, returnImmediately = false) =>
  SendMessageRequest.fromJSON({ message: said, configuration: { returnImmediately } });
const told = (metadata) => metadata?.[PAUSE];

// Pause and resume are an extension, which the SDK does not know: plain requests, in JSON-RPC or in HTTP+JSON.
async function change(binding, method, id, said) {
  const rest = binding === 'HTTP+JSON';
  const params = { id, ...(said ? { metadata: { [PAUSE]: said } } : {}) };
  const path = rest ? `/a2a/rest/tasks/${id}:${method === 'PauseTask' ? 'pause' : 'resume'}` : '/a2a';
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'A2A-Version': '1.0', 'A2A-Extensions': PAUSE },
    body: JSON.stringify(rest ? params : { jsonrpc: '2.0', id: 1, method, params }),
  });
  const body = await answer.json();
  assert.equal(body.error, undefined, JSON.stringify(body.error));
  assert.equal(answer.headers.get('A2A-Extensions'), PAUSE);
  return rest ? body : body.result;
}

async function sent(client, parts, returnImmediately = true, fields = {}) {
  const task = await client.sendMessage(request(message(parts, fields), returnImmediately));
  assert.ok(task.id, `a task was expected: ${JSON.stringify(task)}`);
  return task;
}

const inState = (task, state) => assert.equal(TaskState[task.status.state], TaskState[state]);

const CHECKS = {
  'extended card': async (client) => {
    const card = await client.getAgentCard();
    assert.ok(card.skills.some((skill) => skill.id === 'type:sleep'));
    assert.ok(card.capabilities.extensions.some((extension) => extension.uri === PAUSE));
  },
  'send, blocking': async (client) => {
    const task = await sent(client, plan(nap('n', 0.05)), false);
    inState(task, TaskState.TASK_STATE_COMPLETED);
    assert.equal(task.history.length, 1);
  },
  'send, returning at once': async (client) => {
    const task = await sent(client, plan(nap('n', 0.3)));
    assert.ok([TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING].includes(task.status.state));
  },
  'send, streaming': async (client) => {
    const events = [];
    for await (const event of client.sendMessageStream(request(message(plan(nap('a', 0.1), nap('b', 0.1, 'a')))))) {
      events.push(event.payload);
    }
    assert.equal(events[0].$case, 'task');
    assert.ok(events.some((event) => event.$case === 'artifactUpdate'));
    inState(events.at(-1).value, TaskState.TASK_STATE_COMPLETED);
  },
  'get, with and without history': async (client) => {
    const task = await sent(client, plan(nap('n', 0)), false);
    assert.equal((await client.getTask({ id: task.id })).history.length, 1);
    assert.equal((await client.getTask({ id: task.id, historyLength: 0 })).history.length, 0);
    await assert.rejects(client.getTask({ id: randomUUID() }), TaskNotFoundError);
  },
  'list, page by page': async (client) => {
    const contextId = randomUUID();
    const made = [];
    for (let i = 0; i < 3; i++) made.push((await sent(client, plan(nap('n', 0)), false, { contextId })).id);
    const found = [];
    let pageToken = '';
    do {
      const page = await client.listTasks(ListTasksRequest.fromJSON({ contextId, pageSize: 2, pageToken }));
      assert.equal(page.totalSize, 3);
      found.push(...page.tasks.map((task) => task.id));
      pageToken = page.nextPageToken;
    } while (pageToken);
    assert.deepEqual(found.sort(), made.sort());
  },
  'subscribe, pause and resume': async (client, binding) => {
    const { id } = await sent(client, plan(...['a', 'b', 'c', 'd'].map((name) => nap(name, 0.25))));
    const events = client.resubscribeTask({ id });
    assert.equal((await events.next()).value.payload.$case, 'task');
    const paused = await change(binding, 'PauseTask', id, { mode: 'step', reason: 'lunch' });
    assert.equal(told(paused.metadata).state, 'PAUSED');
    assert.equal(told(paused.metadata).reason, 'lunch');
    assert.equal(told((await client.getTask({ id })).metadata).state, 'PAUSED');
    assert.equal(told((await change(binding, 'ResumeTask', id)).metadata), undefined);
    const seen = [];
    for await (const event of events) seen.push(event.payload);
    assert.ok(seen.some((event) => told(event.value.metadata)?.state === 'PAUSED'));
    assert.equal(told(seen.at(-1).value.metadata), undefined);
    inState(seen.at(-1).value, TaskState.TASK_STATE_COMPLETED);
  },
  'input required, and the answer': async (client) => {
    const asking = await sent(client, plan({ id: 'ask', type: 'srv_ask', params: {} }), false);
    inState(asking, TaskState.TASK_STATE_INPUT_REQUIRED);
    const [words, form] = asking.status.message.parts;
    assert.equal(words.content.$case, 'text');
    const [question] = form.content.value.questions;
    const answers = [{ data: { answers: { [question.id]: 42 } }, mediaType: 'application/json' }];
    const done = await sent(client, answers, false, { taskId: asking.id, contextId: asking.contextId });
    assert.equal(done.id, asking.id);
    inState(done, TaskState.TASK_STATE_COMPLETED);
    assert.deepEqual(done.artifacts.at(-1).parts[0].content.value, { ask: 42 });
  },
  'cancel': async (client) => {
    const { id } = await sent(client, plan(nap('n', 60)));
    inState(await client.cancelTask({ id }), TaskState.TASK_STATE_CANCELED);
    await assert.rejects(client.cancelTask({ id }), TaskNotCancelableError);
  },
  'a message that is sent twice': async (client) => {
    const said = request(message(plan(nap('n', 0))));
    const [first, second] = [await client.sendMessage(said), await client.sendMessage(said)];
    assert.equal(first.id, second.id);
  },
};

async function check(run) {
  const late = new Promise((_, reject) => setTimeout(reject, SECONDS * 1000, new Error(`not done in ${SECONDS} s`)).unref());
  try {
    await Promise.race([run(), late]);
    return 'ok';
  } catch (error) {
    return `FAILED: ${error.message?.split('\n')[0] ?? error}`;
  }
}

const { version } = createRequire(import.meta.url)('./node_modules/@a2a-js/sdk/package.json');
console.log(`@a2a-js/sdk ${version}, node ${process.versions.node}\n`);
console.log('| check | JSONRPC | HTTP+JSON | GRPC |\n| --- | --- | --- | --- |');
const clients = {};
for (const binding of ['JSONRPC', 'HTTP+JSON', 'GRPC']) {
  clients[binding] = await new ClientFactory({ transports, preferredTransports: [binding] }).createFromUrl(url);
  assert.equal(clients[binding].transport.protocolName, binding);
}
let faults = 0;
for (const [name, run] of Object.entries(CHECKS)) {
  const results = [];
  for (const [binding, client] of Object.entries(clients)) results.push(await check(() => run(client, binding)));
  faults += results.filter((result) => result !== 'ok').length;
  console.log(`| ${name} | ${results.join(' | ')} |`);
}
console.log(`\n${Object.keys(CHECKS).length * 3 - faults} of ${Object.keys(CHECKS).length * 3} passed`);
process.exit(faults ? 1 : 0);
