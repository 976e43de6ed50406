'use strict';

// One association as its requestor: node scu.js '{"do": "echo", "port": ..., ...}'. Prints what was answered as JSON.

const { dimse, keepReceived, keepSent } = require('./common.js');

const { Client } = dimse;
const { CEchoRequest, CFindRequest, CGetRequest, CMoveRequest, CStoreRequest } = dimse.requests;
const { CStoreResponse } = dimse.responses;
const { Status } = dimse.constants;

const given = JSON.parse(process.argv[2]);
const answers = [];

const makes = {
  echo: () => [new CEchoRequest()],
  store: () => given.files.map((file) => new CStoreRequest(file)),
  find: () => [
    {
      STUDY: CFindRequest.createStudyFindRequest,
      SERIES: CFindRequest.createSeriesFindRequest,
      IMAGE: CFindRequest.createImageFindRequest,
    }[given.level](given.keys),
  ],
  get: () => [CGetRequest.createSeriesGetRequest(given.study, given.series)],
  move: () => [CMoveRequest.createSeriesMoveRequest(given.destination, given.study, given.series)],
};

function counts(response) {
  if (!response.getCompleted) {
    return {};
  }
  return { completed: response.getCompleted(), failed: response.getFailures() };
}

keepSent(given.sent);
keepReceived(given.received);

const client = new Client();
for (const request of makes[given.do]()) {
  request.on('response', (response) => {
    const answer = { status: response.getStatus(), ...counts(response) };
    if (response.hasDataset()) {
      answer.row = response.getDataset().getElements();
    }
    answers.push(answer);
  });
  client.addRequest(request);
}
client.on('cStoreRequest', (request, callback) => {
  const response = CStoreResponse.fromRequest(request);
  response.setStatus(Status.Success);
  callback(response);
});
client.on('networkError', (error) => {
  console.error(`network error: ${error.message}`);
  process.exitCode = 1;
});
client.on('associationRejected', () => {
  console.error('association rejected');
  process.exitCode = 1;
});
client.on('closed', () => {
  console.log(JSON.stringify(answers));
  process.exit();
});
client.send('127.0.0.1', given.port, given.calling, given.called);
